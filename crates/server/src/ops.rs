//! For operators: is it alive, and may it be sent requests?

use std::sync::Arc;

use axum::extract;
use http::StatusCode;

use crate::state::State;

/// `/livez`: the process answers.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// `/readyz` and `/healthz`: 200 once everything is in place and while the registry is fresh, else 503 with the reason.
pub(crate) async fn ready(extract::State(state): extract::State<Arc<State>>) -> (StatusCode, String) {
    if !state.is_ready() {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned());
    }
    match state.registry.check_fresh() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(refusal) => (StatusCode::SERVICE_UNAVAILABLE, format!("{refusal}\n")),
    }
}
