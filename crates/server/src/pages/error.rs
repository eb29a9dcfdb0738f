//! The page that says why there is no page.

use axum::response::{IntoResponse, Response};
use countersign_protocol::refusal::Refusal;
use http::StatusCode;

/// The registry is stale, or the database is gone.
pub(crate) fn unavailable(refusal: &Refusal) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{refusal}\n")).into_response()
}
