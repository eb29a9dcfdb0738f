//! Responses to requests that were refused before routing: an envelope for a call, a page for a browser.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use countersign_protocol::refusal::Refusal;
use countersign_server::http::admission::lies_under;
use countersign_server::state::State;
use http::Request;

use crate::api::fault::Fault;
use crate::pages::error::{misdirected, overloaded, wants_page};

/// Returns the response to a refused request, or `None` to keep the OAuth error.
pub(crate) fn answer(state: &State, request: &Request<Body>, refusal: &Refusal) -> Option<Response> {
    if lies_under(request.uri().path(), "/api") {
        return Some(Fault::from(refusal.clone()).into_response());
    }
    match refusal {
        _ if !wants_page(request.headers()) => None,
        Refusal::ForeignHost => Some(misdirected(state)),
        Refusal::Overloaded(_) => Some(overloaded()),
        _ => None,
    }
}
