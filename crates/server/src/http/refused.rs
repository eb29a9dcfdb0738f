//! What is refused before the router: the answer has the form of the API that was asked.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use countersign_protocol::refusal::Refusal;
use http::Request;

use crate::admin::change_error::ChangeError;
use crate::http::admission::lies_under;
use crate::http::caller::Caller;
use crate::oauth::refusal;
use crate::oauth::respond::shed;
use crate::router::Site;
use crate::state::State;
use crate::usage::metrics;

/// Where requests are refused that reach no endpoint.
const FRONT: &str = "front";
const TOKEN: &str = "token";

/// Logs a refusal, and answers it as a problem, as the site does, or as an OAuth error.
pub(super) fn answer(
    (state, site): (&State, &Site),
    caller: &Caller,
    request: &Request<Body>,
    refusal: &Refusal,
) -> Response {
    let path = request.uri().path();
    let endpoint = if matches!(refusal, Refusal::Overloaded(_)) { endpoint(path) } else { FRONT };
    if endpoint == TOKEN {
        state.metrics.count_token(None, refusal::error_of(refusal));
    }
    let shed = shed(state, caller, endpoint, refusal);
    if lies_under(path, "/admin") {
        return ChangeError::from(refusal.clone()).into_response();
    }
    site.refuse.and_then(|refuse| refuse(state, request, refusal)).unwrap_or(shed)
}

/// The endpoint that a path leads to: it refuses requests under overload, too, and both are recorded alike.
fn endpoint(path: &str) -> &'static str {
    match metrics::route(path) {
        "/oauth2/token" => TOKEN,
        "/oauth2/introspect" => "introspect",
        "/oauth2/revoke" => "revoke",
        _ => FRONT,
    }
}
