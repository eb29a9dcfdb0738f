//! Answers that belong to no endpoint in particular.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use http::{HeaderValue, StatusCode};
use serde_json::json;

/// A JSON answer that nobody may store (RFC 6749 §5.1).
pub(crate) fn json_response(status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// No such address.
pub(crate) async fn not_found() -> Response {
    let body = json!({ "error": "invalid_request", "error_description": "there is nothing at this address" });
    json_response(StatusCode::NOT_FOUND, body.to_string())
}

/// An address that exists, asked by a method that it does not take.
pub(crate) async fn wrong_method() -> Response {
    let body = json!({ "error": "invalid_request", "error_description": "this address does not take this method" });
    json_response(StatusCode::METHOD_NOT_ALLOWED, body.to_string())
}
