//! Health checks and metrics.

use std::sync::Arc;

use axum::extract::{self, Request};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, FORWARDED};
use http::{HeaderName, StatusCode};

use crate::http::answer;
use crate::state::State;
use crate::usage::exposition;

/// True for the health check paths, as the metrics label them.
pub(crate) fn is_probe(route: &str) -> bool {
    ["/livez", "/readyz", "/healthz"].contains(&route)
}

/// `/livez`: the process responds.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// `/readyz` and `/healthz`: 200 from the end of startup until shutdown begins, while the registry is fresh and the
/// database file is in place. Otherwise 503 with the reason. A node with a read-only database still issues tokens, so
/// it is ready.
pub(crate) async fn ready(extract::State(state): extract::State<Arc<State>>) -> (StatusCode, String) {
    if state.lifecycle.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    if !state.lifecycle.is_ready() {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned());
    }
    if state.store.is_file_lost() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the database file was deleted or replaced\n".to_owned());
    }
    match state.registry.check_fresh() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(refusal) => (StatusCode::SERVICE_UNAVAILABLE, format!("{refusal}\n")),
    }
}

/// `GET /metrics`. Refuses requests that a proxy forwards, because outsiders must not see the metrics.
pub(crate) async fn metrics(extract::State(state): extract::State<Arc<State>>, request: Request) -> Response {
    let is_forwarded = |name: &HeaderName| name == FORWARDED || name.as_str().starts_with("x-forwarded-");
    if request.headers().keys().any(is_forwarded) {
        return answer::not_found(request).await;
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], exposition::render(&state)).into_response()
}
