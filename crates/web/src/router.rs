//! All routes for people, on one screen.

use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post, put};
use countersign_server::http::answer;
use countersign_server::state::State;
use countersign_server::{Site, machine_routes};

use crate::account::{password, second_factor, sessions, sign_in};
use crate::api::{envelope, openapi};
use crate::pages::{account, home, layout, login, m2m, not_found, protocols};
use crate::playground::transport::Inner;
use crate::playground::{call_resource, claims, preview, resource, settings, token_calls, token_set};
use crate::static_files::static_file;
use crate::{pages, refused};

/// Returns all routes: the machine endpoints, the demonstration resources, the guide's demo API and the pages.
pub fn site(state: &State) -> Site {
    let machines = machine_routes(state).merge(resources(state));
    let shared = Arc::new(state.clone());
    let router = machines.clone().merge(calls(machines, &shared)).merge(for_browsers(&shared));
    let router = router.fallback_service(not_found::not_found.with_state(shared));
    Site { router, refuse: Some(refused::answer) }
}

/// The demonstration resources, protected by the guard.
fn resources(state: &State) -> Router {
    let guarded = resource::guarded(state);
    Router::new()
        .route_service("/resource", guarded.clone())
        .route_service("/resource/", guarded.clone())
        .route_service("/resource/{*path}", guarded)
}

/// The guide's demo API, which calls the machine endpoints and the resources.
fn calls(machines: Router, state: &Arc<State>) -> Router {
    Router::new()
        .route("/api/getUISettings", get(settings::ui_settings))
        .route("/api/auth/beginAuth", post(sign_in::begin))
        .route("/api/auth/advanceAuth", post(sign_in::advance))
        .route("/api/auth/out", post(sign_in::out))
        .route("/api/getSettings", get(settings::get))
        .route("/api/updateSettings", put(settings::update))
        .route("/api/tokenRequestPreview", post(preview::preview))
        .route("/api/tokenSet", post(token_set::token_set))
        .route("/api/claims", get(claims::decode).post(claims::judge))
        .route("/api/introspect", post(token_calls::introspect))
        .route("/api/refreshToken", post(token_calls::refresh))
        .route("/api/revokeToken", post(token_calls::revoke))
        .route("/api/callResource", post(call_resource::call_resource))
        .route("/api/account/changePassword", post(password::change_password))
        .route("/api/account/beginSecondFactor", post(second_factor::begin))
        .route("/api/account/confirmSecondFactor", post(second_factor::confirm))
        .route("/api/account/removeSecondFactor", post(second_factor::remove))
        .route("/api/account/sessions", get(sessions::sessions))
        .route("/api/account/endSession", post(sessions::end_session))
        .route("/api/openapi.json", get(openapi::document))
        .route("/api", any(envelope::not_found))
        .route("/api/", any(envelope::not_found))
        .route("/api/{*call}", any(envelope::not_found))
        .method_not_allowed_fallback(envelope::wrong_method)
        .layer(Extension(Inner(machines)))
        .layer(from_fn_with_state(state.clone(), envelope::around))
        .with_state(state.clone())
}

/// The pages and their static files.
fn for_browsers(state: &Arc<State>) -> Router {
    Router::new()
        .route("/", get(home::home))
        .route("/login", get(login::login))
        .route("/account", get(account::account))
        .route("/protocols", get(protocols::protocols))
        .route("/m2m", get(m2m::m2m))
        .route("/settings", get(pages::settings::settings))
        .route_layer(from_fn_with_state(state.clone(), layout::around))
        .route("/static/{hash}/{name}", get(static_file))
        .method_not_allowed_fallback(answer::wrong_method)
        .with_state(state.clone())
}
