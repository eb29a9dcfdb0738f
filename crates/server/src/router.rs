//! Which function answers: every route on one screen, grouped by caller.

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};

use crate::oauth::{introspect, metadata, refusal, revoke, token};
use crate::state::State;
use crate::{answer, ops, pages, resource, static_files};

/// Every route. The first two segments of `/OAuth2/Token/{api}` and its like arrive in lower case (`front.rs`).
pub fn router(state: &State) -> Router {
    let shared = Arc::new(state.clone());
    let router = Router::new()
        // for OAuth clients, at the standard paths and at the guide's
        .route("/oauth2/token", post(token::token).fallback(refusal::method_not_allowed))
        .route("/oauth2/token/{api}", post(token::token).fallback(refusal::method_not_allowed))
        .route("/oauth2/introspect", post(introspect::introspect).fallback(refusal::method_not_allowed))
        .route("/oauth2/introspect/{api}", post(introspect::introspect).fallback(refusal::method_not_allowed))
        .route("/oauth2/revoke", post(revoke::revoke).fallback(refusal::method_not_allowed))
        .route("/oauth2/revoke/{api}", post(revoke::revoke).fallback(refusal::method_not_allowed))
        .route("/oauth2/jwks", get(metadata::key_set))
        .route("/oauth2/keys/{api}", get(metadata::tenant_key_set))
        .route("/.well-known/oauth-authorization-server", get(metadata::authorization_server))
        .route("/.well-known/openid-configuration", get(metadata::authorization_server))
        .route("/{api}/.well-known/openid-configuration", get(metadata::tenant))
        // for resource servers
        .route("/.well-known/oauth-protected-resource", get(metadata::root_resource))
        .route("/.well-known/oauth-protected-resource/{*path}", get(metadata::protected_resource))
        // for operators
        .route("/livez", get(ops::live))
        .route("/readyz", get(ops::ready))
        .route("/healthz", get(ops::ready))
        .fallback(pages::error::not_found)
        .method_not_allowed_fallback(answer::wrong_method)
        .with_state(shared.clone());
    if !state.playground {
        return router;
    }
    // the demonstration resources, behind the guard
    let guarded = resource::guarded(state);
    let router = router.route_service("/resource", guarded.clone()).route_service("/resource/{*path}", guarded);
    router.merge(for_people(shared))
}

/// For people: the pages of the playground, and what they are dressed in.
fn for_people(state: Arc<State>) -> Router {
    Router::new()
        .route("/", get(pages::home::home))
        .route("/login", get(pages::login::login))
        .route("/account", get(pages::account::account))
        .route("/protocols", get(pages::protocols::protocols))
        .route("/m2m", get(pages::m2m::m2m))
        .route("/settings", get(pages::settings::settings))
        .route_layer(middleware::from_fn_with_state(state.clone(), pages::layout::around))
        .route("/static/{hash}/{name}", get(static_files::static_file))
        .with_state(state)
}
