//! Responses of the admin API, and the ETags that identify what a change applies to (RFC 9110 §8.8.3).

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use countersign_protocol::jose::base64url;
use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::admin::change_error::ChangeError;
use crate::http::answer::json_response;
use crate::http::json_body::receive_strictly;

/// The result of a handler of the admin API.
pub(crate) type Answer = Result<Response, ChangeError>;

/// The JSON body of a request.
pub(crate) struct AdminBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for AdminBody<T> {
    type Rejection = ChangeError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ChangeError> {
        Ok(Self(receive_strictly(request).await?))
    }
}

/// 200 with an object and its ETag.
pub(crate) fn show(thing: &Value) -> Response {
    show_with(thing, thing)
}

/// 200 with an object whose response contains more than its state. The ETag only covers the state.
pub(crate) fn show_with(shown: &Value, state: &Value) -> Response {
    tagged(StatusCode::OK, shown, state)
}

/// 201 with a new object, its URL, and the ETag of its state. Values that are only shown once are not part of the
/// state.
pub(crate) fn created(shown: &Value, state: &Value, address: &str) -> Response {
    let mut response = tagged(StatusCode::CREATED, shown, state);
    if let Ok(address) = HeaderValue::from_str(address) {
        response.headers_mut().insert(LOCATION, address);
    }
    response
}

/// 204: success, without a body.
pub(crate) fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Fails if `If-Match` names another state of the object, or if `If-None-Match: *` requires that it does not exist yet.
/// Without these headers, it always succeeds.
pub(crate) fn check_match(headers: &HeaderMap, thing: &Value) -> Result<(), ChangeError> {
    if headers.get_all(IF_NONE_MATCH).iter().any(|value| value == "*") && !thing.is_null() {
        return Err(ChangeError::changed_meanwhile());
    }
    let mut wanted = headers.get_all(IF_MATCH).iter().peekable();
    if wanted.peek().is_none() {
        return Ok(());
    }
    let tag = etag(thing);
    let is_meant = |one: &[u8]| one == tag.as_bytes() || (one == b"*" && !thing.is_null());
    // As bytes: other tags may not be ASCII (RFC 9110 §8.8.3).
    let names =
        |value: &HeaderValue| value.as_bytes().split(|byte| *byte == b',').any(|one| is_meant(one.trim_ascii()));
    if wanted.any(names) { Ok(()) } else { Err(ChangeError::changed_meanwhile()) }
}

fn tagged(status: StatusCode, shown: &Value, state: &Value) -> Response {
    let mut response = json_response(status, shown.to_string());
    if let Ok(tag) = HeaderValue::from_str(&etag(state)) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// A hash of the state, so that every change of the state changes the ETag.
fn etag(thing: &Value) -> String {
    let hash = digest(&SHA256, thing.to_string().as_bytes());
    format!("\"{}\"", base64url(&hash.as_ref()[..12]))
}
