//! The key set and the metadata documents (RFC 7517, RFC 8414, RFC 9728).

use std::sync::Arc;

use axum::extract::{self, Path, Request};
use axum::response::Response;
use countersign_protocol::metadata;
use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderValue, StatusCode};

use crate::http::answer::{json_response, not_found};
use crate::state::State;

/// How long key sets and documents can be cached. A new key is published for longer before it signs.
const CACHEABLE: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// `GET /oauth2/jwks`.
pub(crate) async fn key_set(extract::State(state): extract::State<Arc<State>>) -> Response {
    cacheable(state.registry.current().keys().published().to_owned())
}

/// `GET /OAuth2/Keys/{api}`: the same keys, because all APIs share the issuer's.
pub(crate) async fn tenant_key_set(
    extract::State(state): extract::State<Arc<State>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let registry = state.registry.current().clone();
    match registry.find_api(&id) {
        Some(_) => cacheable(registry.keys().published().to_owned()),
        None => not_found(request).await,
    }
}

/// `GET /.well-known/oauth-authorization-server`.
pub(crate) async fn authorization_server(extract::State(state): extract::State<Arc<State>>) -> Response {
    let registry = state.registry.current().clone();
    cacheable(metadata::authorization_server(&state.issuer, registry.apis()).to_string())
}

/// `GET /.well-known/openid-configuration`.
pub(crate) async fn openid(extract::State(state): extract::State<Arc<State>>) -> Response {
    let registry = state.registry.current().clone();
    cacheable(metadata::openid(&state.issuer, registry.apis()).to_string())
}

/// `GET /{api}/.well-known/openid-configuration`.
pub(crate) async fn tenant(
    extract::State(state): extract::State<Arc<State>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let registry = state.registry.current().clone();
    match registry.find_api(&id) {
        Some(api) => cacheable(metadata::tenant(&state.issuer, api).to_string()),
        None => not_found(request).await,
    }
}

/// `GET /.well-known/oauth-protected-resource`: the API whose audience is the issuer itself.
pub(crate) async fn root_resource(extract::State(state): extract::State<Arc<State>>, request: Request) -> Response {
    describe_resource(&state, state.issuer.as_str(), request).await
}

/// `GET /.well-known/oauth-protected-resource/PATH`: the API whose audience is the issuer with this path.
pub(crate) async fn protected_resource(
    extract::State(state): extract::State<Arc<State>>,
    Path(path): Path<String>,
    request: Request,
) -> Response {
    let audience = state.issuer.join(&format!("/{path}"));
    describe_resource(&state, &audience, request).await
}

async fn describe_resource(state: &State, audience: &str, request: Request) -> Response {
    let registry = state.registry.current().clone();
    match registry.find_api_by_resource(audience) {
        Some(api) => cacheable(metadata::protected_resource(&state.issuer, api).to_string()),
        None => not_found(request).await,
    }
}

fn cacheable(body: String) -> Response {
    let mut response = json_response(StatusCode::OK, body);
    response.headers_mut().insert(CACHE_CONTROL, CACHEABLE);
    response.headers_mut().remove(PRAGMA);
    response
}
