//! How things are shown, and by which ETag a change names what it changes (RFC 9110 §8.8.3).

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
use crate::http::json_body::receive;

/// What a handler of the admin API returns.
pub(crate) type Answer = Result<Response, ChangeError>;

/// The JSON body of a request.
pub(crate) struct AdminBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for AdminBody<T> {
    type Rejection = ChangeError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ChangeError> {
        Ok(Self(receive(request).await?))
    }
}

/// 200 with a thing and its ETag.
pub(crate) fn show(thing: &Value) -> Response {
    show_with(thing, thing)
}

/// 200 with a thing that is shown with more than a change of it changes; its ETag is of its state alone.
pub(crate) fn show_with(shown: &Value, state: &Value) -> Response {
    tagged(StatusCode::OK, shown, state)
}

/// 201 with a new thing, its address, and the ETag of its state: what is shown once is no part of it.
pub(crate) fn created(shown: &Value, state: &Value, address: &str) -> Response {
    let mut response = tagged(StatusCode::CREATED, shown, state);
    if let Ok(address) = HeaderValue::from_str(address) {
        response.headers_mut().insert(LOCATION, address);
    }
    response
}

/// 204: done, and there is nothing to show.
pub(crate) fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Err if `If-Match` names another state of the thing than this, or if `If-None-Match: *` wants it not to be there yet;
/// without these headers nothing is asked.
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
    // As bytes: the tags of others may be no ASCII (RFC 9110 §8.8.3).
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

/// Of the state itself, so that whatever changes it changes the tag.
fn etag(thing: &Value) -> String {
    let hash = digest(&SHA256, thing.to_string().as_bytes());
    format!("\"{}\"", base64url(&hash.as_ref()[..12]))
}
