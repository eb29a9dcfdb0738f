//! The request ID in bodies of errors, so that someone who has only kept the body can search the log.

use axum::body::{Body, HttpBody};
use axum::response::Response;
use futures_util::FutureExt;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};

/// Adds `request_id` to the JSON object in an error response. Leaves every other response as it is.
pub fn add_to_body(mut response: Response, request_id: &HeaderValue) -> Response {
    let status = response.status();
    let is_json = |value: &HeaderValue| value == "application/json" || value == "application/problem+json";
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || !response.headers().get(CONTENT_TYPE).is_some_and(is_json) {
        return response;
    }
    // The response to HEAD has no body, and its length would be the one without the ID.
    response.headers_mut().remove(CONTENT_LENGTH);
    // Errors are in memory. A body that is not is not ours.
    if response.body().size_hint().exact().is_none() {
        return response;
    }
    let (head, body) = response.into_parts();
    let read = body.collect().now_or_never().and_then(Result::ok).unwrap_or_default().to_bytes();
    let body = match serde_json::from_slice::<Map<String, Value>>(&read) {
        Ok(mut members) => {
            members.insert("request_id".to_owned(), json!(request_id.to_str().unwrap_or_default()));
            Body::from(format!("{}\n", Value::Object(members)))
        }
        Err(_) => Body::from(read),
    };
    Response::from_parts(head, body)
}
