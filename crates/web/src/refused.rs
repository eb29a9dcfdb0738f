//! What was refused before any route, in the form that was asked for: an envelope for a call, a page for a browser.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use countersign_protocol::refusal::Refusal;
use countersign_server::http::admission::lies_under;
use countersign_server::state::State;
use http::Request;

use crate::api::fault::Fault;
use crate::pages::error::{misdirected, overloaded, wants_page};

/// The answer to a refused request; `None` leaves it the OAuth error.
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
