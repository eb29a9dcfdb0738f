//! Answers that belong to no endpoint in particular.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use countersign_protocol::path_rule::normalise;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use serde_json::json;
use tracing::field::display;

use crate::http::caller::Caller;
use crate::http::redact::without_secrets;

/// A JSON answer that nobody may store (RFC 6749 §5.1), and no browser takes for anything else.
pub fn json_response(status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// No such address.
pub async fn not_found(request: Request) -> Response {
    log(&request, "unknown path");
    let body = json!({ "error": "invalid_request", "error_description": "unknown path" });
    json_response(StatusCode::NOT_FOUND, body.to_string())
}

/// An address that exists, asked by a method that it does not take.
pub async fn wrong_method(request: Request) -> Response {
    log(&request, "method not allowed for this path");
    let body = json!({ "error": "invalid_request", "error_description": "method not allowed for this path" });
    json_response(StatusCode::METHOD_NOT_ALLOWED, body.to_string())
}

/// One line for a request that no endpoint took: who reads the request id in its answer finds it in the log.
pub fn log(request: &Request, reason: &'static str) {
    let caller = request.extensions().get::<Caller>();
    let (request_id, address) = (caller.map(Caller::request_id), caller.map(|caller| display(caller.address)));
    let asked = request.uri().path();
    // A mistyped address may hold a token, and may be of any length.
    let path = without_secrets(normalise(asked).as_ref().map_or(asked, |path| path.as_str()));
    tracing::info!(request_id, address, method = request.method().as_str(), path, reason, "request refused");
}
