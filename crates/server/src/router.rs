//! All routes on one screen, grouped by caller.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::{any, delete, get, post};
use countersign_protocol::refusal::Refusal;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::admin::{access, audit_log, problem};
use crate::http::answer;
use crate::oauth::{introspect, metadata, respond, revoke, token};
use crate::operations::probes;
use crate::state::State;

/// How long a browser may keep the answer to a preflight request.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// The routes, and how to respond to requests that are refused before routing.
#[derive(Clone, Debug)]
pub struct Site {
    /// All routes.
    pub router: Router,
    /// Builds the response to a refused request. Without it, the response is an OAuth error.
    pub refuse: Option<Refuse>,
}

/// Builds the response to a refused request, or returns `None` for the OAuth error.
pub type Refuse = fn(&State, &Request<Body>, &Refusal) -> Option<Response>;

/// The machine endpoints, without the routes for people.
pub fn machines(state: &State) -> Site {
    Site { router: machine_routes(state), refuse: None }
}

/// All routes for machines. The first two segments of paths like `/OAuth2/Token/{api}` arrive in lower case
/// (`front.rs`).
pub fn machine_routes(state: &State) -> Router {
    let router = for_clients(state).merge(for_everybody(state)).fallback(answer::not_found);
    let router = router.merge(for_probes(state));
    let router = if state.metrics_beside { router.merge(with_metrics(state)) } else { router };
    let router = router.merge(for_administrators(state));
    router.method_not_allowed_fallback(answer::wrong_method)
}

/// The endpoints for OAuth clients, at the standard paths and at the guide's.
fn for_clients(state: &State) -> Router {
    let router = Router::new()
        .route("/oauth2/authorize", any(answer::no_authorization))
        .route("/oauth2/token", post(token::token).fallback(respond::method_not_allowed))
        .route("/oauth2/token/{api}", post(token::token).fallback(respond::method_not_allowed))
        .route("/oauth2/introspect", post(introspect::introspect).fallback(respond::method_not_allowed))
        .route("/oauth2/introspect/{api}", post(introspect::introspect).fallback(respond::method_not_allowed))
        .route("/oauth2/revoke", post(revoke::revoke).fallback(respond::method_not_allowed))
        .route("/oauth2/revoke/{api}", post(revoke::revoke).fallback(respond::method_not_allowed))
        .with_state(Arc::new(state.clone()));
    if state.cors_origins.is_empty() {
        return router;
    }
    let origins = AllowOrigin::list(state.cors_origins.iter().cloned());
    let allowed = CorsLayer::new().allow_origin(origins).allow_methods([Method::POST]);
    router.layer(allowed.allow_headers([AUTHORIZATION, CONTENT_TYPE]).max_age(PREFLIGHT_MAX_AGE))
}

/// The key set and the metadata of servers and APIs, for readers anywhere, such as programs in a browser.
fn for_everybody(state: &State) -> Router {
    Router::new()
        .route("/oauth2/jwks", get(metadata::key_set))
        .route("/.well-known/jwks.json", get(metadata::key_set))
        .route("/oauth2/keys/{api}", get(metadata::tenant_key_set))
        .route("/.well-known/oauth-authorization-server", get(metadata::authorization_server))
        .route("/.well-known/openid-configuration", get(metadata::openid))
        .route("/{api}/.well-known/openid-configuration", get(metadata::tenant))
        .route("/.well-known/oauth-protected-resource", get(metadata::root_resource))
        .route("/.well-known/oauth-protected-resource/{*path}", get(metadata::protected_resource))
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(CorsLayer::new().allow_origin(Any).allow_methods([Method::GET]).max_age(PREFLIGHT_MAX_AGE).vary([]))
        .with_state(Arc::new(state.clone()))
}

/// The routes for operators, on a separate listener.
pub fn for_metrics(state: &State) -> Router {
    for_probes(state).merge(with_metrics(state))
}

/// The health checks.
fn for_probes(state: &State) -> Router {
    Router::new()
        .route("/livez", get(probes::live))
        .route("/readyz", get(probes::ready))
        .route("/healthz", get(probes::ready))
        .with_state(Arc::new(state.clone()))
}

fn with_metrics(state: &State) -> Router {
    Router::new().route("/metrics", get(probes::metrics)).with_state(Arc::new(state.clone()))
}

/// The admin API, behind the guard of its own API.
fn for_administrators(state: &State) -> Router {
    use crate::admin::{
        apis, clients, entitlements, failed_attempts, keys, openapi, refusals, revocations, scopes, secret_rotation,
        secrets, sessions, usage, users,
    };
    let routes = Router::new()
        .route("/admin/v1/apis", get(apis::list).post(apis::create))
        .route("/admin/v1/apis/{id}", get(apis::find).patch(apis::update).delete(apis::delete))
        .route("/admin/v1/apis/{id}/match", get(scopes::find_match))
        .route("/admin/v1/apis/{id}/scopes", get(scopes::list).post(scopes::create))
        .route("/admin/v1/apis/{id}/scopes/{name}", get(scopes::find).patch(scopes::update).delete(scopes::delete))
        .route("/admin/v1/clients", get(clients::list).post(clients::create))
        .route("/admin/v1/clients/{id}", get(clients::find).patch(clients::update).delete(clients::delete))
        .route("/admin/v1/clients/{id}/entitlements", get(entitlements::list_all))
        .route(
            "/admin/v1/clients/{id}/entitlements/{api}",
            get(entitlements::find).put(entitlements::put).delete(entitlements::delete),
        )
        .route("/admin/v1/clients/{id}/secrets", get(secrets::list).post(secrets::create))
        .route("/admin/v1/clients/{id}/secrets/rotate", post(secret_rotation::rotate))
        .route(
            "/admin/v1/clients/{id}/secrets/{secret}",
            get(secrets::find).patch(secrets::update).delete(secrets::end),
        )
        .route("/admin/v1/users", get(users::list).post(users::create))
        .route("/admin/v1/users/{id}", get(users::find).patch(users::update).delete(users::delete))
        .route("/admin/v1/users/{id}/failed-attempts", get(failed_attempts::find).delete(failed_attempts::delete))
        .route("/admin/v1/users/{id}/second-factor", delete(users::delete_second_factor))
        .route("/admin/v1/users/{id}/sessions", get(sessions::list))
        .route("/admin/v1/users/{id}/sessions/{session}", delete(sessions::end))
        .route("/admin/v1/keys", get(keys::list))
        .route("/admin/v1/keys/rotate", post(keys::rotate))
        .route("/admin/v1/keys/{id}", get(keys::find))
        .route("/admin/v1/keys/{id}/revoke", post(keys::revoke))
        .route("/admin/v1/revocations", post(revocations::create))
        .route("/admin/v1/usage", get(usage::list))
        .route("/admin/v1/usage/unused", get(usage::unused))
        .route("/admin/v1/refusals", get(refusals::list))
        .route("/admin/v1/refusals/counts", get(refusals::counts))
        .route("/admin/v1/refusals/{request_id}", get(refusals::find))
        .route("/admin/v1/audit", get(audit_log::records))
        .route("/admin/v1/audit/head", get(audit_log::head))
        .route("/admin/v1/audit/verify", get(audit_log::verify))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::wrong_method)
        .with_state(Arc::new(state.clone()));
    let guarded = access::guarded(state, routes);
    Router::new()
        .route_service("/admin", guarded.clone())
        .route_service("/admin/", guarded.clone())
        .route_service("/admin/{*path}", guarded)
        .route_layer(from_fn(access::around))
        .route("/admin/v1/openapi.json", get(openapi::document))
        .with_state(Arc::new(state.clone()))
}
