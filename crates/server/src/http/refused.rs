//! Refusals before routing. The response has the format of the API that was called.

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

/// The endpoint in records of requests that reach no endpoint.
const FRONT: &str = "front";
const TOKEN: &str = "token";

/// Logs a refusal, and returns it as a problem, in the format of the site, or as an OAuth error.
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

/// Returns the endpoint of a path. Endpoints also refuse requests under overload, and both refusals are recorded in the
/// same way.
fn endpoint(path: &str) -> &'static str {
    match metrics::route(path) {
        "/oauth2/token" => TOKEN,
        "/oauth2/introspect" => "introspect",
        "/oauth2/revoke" => "revoke",
        _ => FRONT,
    }
}
