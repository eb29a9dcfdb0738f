//! What a person sees where there is no page, or none for them.

use askama::Template;
use axum::response::Response;
use countersign_protocol::refusal::Refusal;
use countersign_server::keys::sealing::SealError;
use countersign_server::limits::RETRY_AFTER_S;
use countersign_server::state::State;
use http::header::{ACCEPT, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::pages::layout::{Frame, respond};

/// What browsers name among what they accept.
const HTML: &[u8] = b"text/html";

/// A page that says what is missing, and where to go on.
#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage {
    /// The frame; its title is the heading.
    pub(crate) frame: Frame,
    /// The status of the answer.
    pub(crate) status: u16,
    /// What is missing, in a sentence.
    pub(crate) words: String,
    /// What the log knows this answer as.
    pub(crate) request_id: Option<String>,
    /// Where to go on: address and words.
    pub(crate) links: Vec<(&'static str, &'static str)>,
}

impl ErrorPage {
    /// The page as an answer.
    pub(crate) fn respond(&self) -> Response {
        respond(StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), self)
    }
}

/// The registry is stale, or the database is gone: who looks is unknown then, so the frame says nothing of them.
pub(crate) fn unavailable(refusal: &Refusal) -> Response {
    tracing::warn!(%refusal, "failed to show a page");
    ErrorPage {
        frame: Frame::of_text("Temporarily unavailable", "", None),
        status: 503,
        words: "The server cannot reach its database. Try again shortly. Nothing was lost.".to_owned(),
        request_id: None,
        links: vec![("/", "Go to the home page")],
    }
    .respond()
}

/// More is asked than can be answered.
pub(crate) fn overloaded() -> Response {
    let mut response = ErrorPage {
        frame: Frame::of_text("Server overloaded", "", None),
        status: 503,
        words: "The server has too many requests. Try again in a few seconds. Nothing was lost.".to_owned(),
        request_id: None,
        links: vec![("/", "Go to the home page")],
    }
    .respond();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    response
}

/// What a page needs cannot be read.
pub(crate) fn failed(error: SealError) -> Response {
    tracing::error!(%error, "failed to show a page");
    ErrorPage {
        frame: Frame::of_text("Internal error", "", None),
        status: 500,
        words: "The server failed to load its data. The log has the details. Try again shortly.".to_owned(),
        request_id: None,
        links: vec![("/", "Go to the home page")],
    }
    .respond()
}

/// The request names another host than this server. None of our styles are fetched: they would be asked of that host.
#[derive(Template)]
#[template(path = "misdirected.html")]
struct Misdirected<'a> {
    issuer: &'a str,
}

/// This server is not meant, says the request; a person is told where it is.
pub(crate) fn misdirected(state: &State) -> Response {
    respond(StatusCode::MISDIRECTED_REQUEST, &Misdirected { issuer: state.issuer.as_str() })
}

/// True if the request names `text/html` among what it accepts, as browsers do when a person goes somewhere.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let names = |value: &HeaderValue| value.as_bytes().windows(HTML.len()).any(|part| part.eq_ignore_ascii_case(HTML));
    headers.get_all(ACCEPT).iter().any(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_accepts_a_page_gets_one() {
        let accepts = |value| wants_page(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))]));
        assert!(accepts("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"));
        let not_ascii = HeaderValue::from_bytes(b"text/html, x/\xff").expect("a header");
        assert!(wants_page(&HeaderMap::from_iter([(ACCEPT, not_ascii)])));
        assert!(!accepts("*/*") && !accepts("application/json"));
        assert!(!wants_page(&HeaderMap::new()));
    }
}
