//! The request ID in bodies of errors, so that someone who has only kept the body can search the log.

use axum::body::{Body, HttpBody};
use axum::response::Response;
use futures_util::FutureExt;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;
use serde_json::json;

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
    let body = with_member(&read, request_id).map_or_else(|| Body::from(read), Body::from);
    Response::from_parts(head, body)
}

/// Appends the member to the text of an object. Parsing it would cost as much as the rest of a refusal under overload.
fn with_member(object: &[u8], request_id: &HeaderValue) -> Option<Vec<u8>> {
    let members = object.trim_ascii().strip_prefix(b"{")?.strip_suffix(b"}")?;
    let comma = if members.trim_ascii().is_empty() { "" } else { "," };
    let id = json!(request_id.to_str().unwrap_or_default()).to_string();
    Some([b"{", members, comma.as_bytes(), br#""request_id":"#, id.as_bytes(), b"}\n"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_last_member_of_an_object() {
        let id = HeaderValue::from_static("a\"b");
        let added =
            |object: &str| with_member(object.as_bytes(), &id).map(|text| String::from_utf8(text).expect("text"));
        assert_eq!(added("{}\n").as_deref(), Some("{\"request_id\":\"a\\\"b\"}\n"));
        assert_eq!(added("{\"a\":{}}").as_deref(), Some("{\"a\":{},\"request_id\":\"a\\\"b\"}\n"));
        assert_eq!((added(""), added("[]"), added("}")), (None, None, None));
    }
}
