//! Responses of OAuth endpoints. A refusal is logged with its exact reason, and stored.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract;
use axum::response::Response;
use countersign_protocol::refusal::Refusal;
use countersign_store::StoredRefusal;
use http::header::ALLOW;
use http::{HeaderValue, StatusCode};

use crate::http::answer::json_response;
use crate::http::caller::Caller;
use crate::http::redact::without_secrets;
use crate::oauth::exchange::Exchange;
use crate::oauth::presented;
use crate::oauth::refusal::{error_of, to_response};
use crate::oauth::remedy::remedy;
use crate::state::State;

/// The result of an OAuth endpoint: a JSON body, or a refusal, which is logged with its exact reason.
pub(crate) fn respond(exchange: &Exchange, endpoint: &'static str, answer: Result<String, Refusal>) -> Response {
    match answer {
        Ok(body) => json_response(StatusCode::OK, body),
        Err(refusal) => {
            let registry = exchange.state.registry.current();
            let presented = presented::describe(exchange, &registry).to_string().into();
            let client_id = exchange.client_id.as_ref().map(|id| id.as_str());
            record(&exchange.state, &exchange.caller, Refused { endpoint, client_id, presented, refusal: &refusal });
            to_response(&refusal)
        }
    }
}

/// Refuses any other method at a POST-only endpoint.
pub(crate) async fn method_not_allowed(
    extract::State(state): extract::State<Arc<State>>,
    extract::Extension(caller): extract::Extension<Caller>,
) -> Response {
    record(&state, &caller, Refused::unread("oauth", &Refusal::Method));
    let mut response = to_response(&Refusal::Method);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

/// Responds to a request that was refused before routing.
pub(crate) fn shed(state: &State, caller: &Caller, endpoint: &'static str, refusal: &Refusal) -> Response {
    record(state, caller, Refused::unread(endpoint, refusal));
    to_response(refusal)
}

/// A refused request, as far as it was read.
struct Refused<'r> {
    endpoint: &'static str,
    client_id: Option<&'r str>,
    /// The presented parts, as JSON.
    presented: Cow<'static, str>,
    refusal: &'r Refusal,
}

impl<'r> Refused<'r> {
    fn unread(endpoint: &'static str, refusal: &'r Refusal) -> Self {
        Self { endpoint, client_id: None, presented: "{}".into(), refusal }
    }
}

/// Logs a refusal with its exact reason, and stores it under the request ID.
fn record(state: &State, caller: &Caller, refused: Refused<'_>) {
    let Refused { endpoint, client_id, presented, refusal } = refused;
    let (request_id, address) = (caller.request_id(), caller.address);
    let (error, reason) = (error_of(refusal), without_secrets(&refusal.to_string()));
    match refusal {
        Refusal::Internal(_) => {
            tracing::error!(request_id, %address, endpoint, client_id, error, reason, "request failed");
        }
        Refusal::Overloaded(_) => {
            if let Some(count) = state.metrics.overload_log.count(state.clock.monotonic_ms()) {
                tracing::warn!(request_id, %address, endpoint, count, reason, "requests refused because of overload");
            }
        }
        _ => tracing::info!(request_id, %address, endpoint, client_id, error, reason, "request refused"),
    }
    let stored = StoredRefusal {
        request_id: request_id.to_owned(),
        at: state.now(),
        endpoint: endpoint.into(),
        client_id: client_id.map(str::to_owned),
        address: address.to_string(),
        error: error.into(),
        reason,
        remedy: remedy(refusal).into(),
        presented,
    };
    let name: &str = refusal.into();
    state.refusals.record(stored, name.to_owned());
}
