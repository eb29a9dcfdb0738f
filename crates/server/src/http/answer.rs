//! Responses that do not belong to an endpoint.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use countersign_protocol::path_rule::normalise;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use serde_json::json;
use tracing::field::display;

use crate::http::caller::Caller;
use crate::http::redact::without_secrets;

/// Returns a JSON response that must not be cached (RFC 6749 §5.1) or interpreted as another type. It ends with a
/// newline, for those who use curl.
pub fn json_response(status: StatusCode, mut body: String) -> Response {
    body.push('\n');
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The response for an unknown path.
pub async fn not_found(request: Request) -> Response {
    log(&request, "unknown path");
    let body = json!({ "error": "invalid_request", "error_description": "unknown path" });
    json_response(StatusCode::NOT_FOUND, body.to_string())
}

/// The response for a wrong method.
pub async fn wrong_method(request: Request) -> Response {
    log(&request, "method not allowed for this path");
    let body = json!({ "error": "invalid_request", "error_description": "method not allowed for this path" });
    json_response(StatusCode::METHOD_NOT_ALLOWED, body.to_string())
}

/// `/oauth2/authorize`, whose address some clients require. Without a response type, there is nothing to authorize (RFC
/// 6749 §4.1.2.1), and a redirect could lead anywhere.
pub(crate) async fn no_authorization(request: Request) -> Response {
    log(&request, "there are no authorization requests");
    let why = "this server issues tokens to services, without a browser; request one at the token endpoint, such as with \
               grant_type=client_credentials";
    let body = json!({ "error": "unsupported_response_type", "error_description": why });
    json_response(StatusCode::BAD_REQUEST, body.to_string())
}

/// Logs a request that reached no endpoint, so that the request ID in its response can be found in the log.
pub fn log(request: &Request, reason: &'static str) {
    let caller = request.extensions().get::<Caller>();
    let (request_id, address) = (caller.map(Caller::request_id), caller.map(|caller| display(caller.address)));
    let asked = request.uri().path();
    // A mistyped URL may contain a token, and may be of any length.
    let path = without_secrets(normalise(asked).as_ref().map_or(asked, |path| path.as_str()));
    tracing::info!(request_id, address, method = request.method().as_str(), path, reason, "request refused");
}
