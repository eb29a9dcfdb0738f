//! The page for a missing, forbidden or failing page.

use askama::Template;
use axum::response::Response;
use countersign_protocol::refusal::Refusal;
use countersign_server::keys::sealing::SealError;
use countersign_server::limits::RETRY_AFTER_S;
use countersign_server::state::State;
use http::header::{ACCEPT, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::pages::layout::{Frame, respond};

/// The media type that browsers accept.
const HTML: &[u8] = b"text/html";

/// A page that explains what is missing, and links to other pages.
#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage {
    /// The frame. Its title is the heading.
    pub(crate) frame: Frame,
    /// The status of the response.
    pub(crate) status: u16,
    /// What is missing, in one sentence.
    pub(crate) words: String,
    /// The request ID, to search the log for.
    pub(crate) request_id: Option<String>,
    /// Links to other pages: path and text.
    pub(crate) links: Vec<(&'static str, &'static str)>,
}

impl ErrorPage {
    /// Returns the page as a response.
    pub(crate) fn respond(&self) -> Response {
        respond(StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), self)
    }
}

/// The page for a stale registry or an unreachable database. It cannot identify the visitor, so the frame shows no
/// user.
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

/// The page for an overloaded server.
pub(crate) fn overloaded() -> Response {
    let mut response = ErrorPage {
        frame: Frame::of_text("Server overloaded", "", None),
        status: 503,
        words: "The server is handling too many requests. Try again in a few seconds. Nothing was lost.".to_owned(),
        request_id: None,
        links: vec![("/", "Go to the home page")],
    }
    .respond();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    response
}

/// The page when the data of a page cannot be loaded.
pub(crate) fn failed(error: SealError) -> Response {
    tracing::error!(%error, "failed to show a page");
    ErrorPage {
        frame: Frame::of_text("Internal error", "", None),
        status: 500,
        words: "The server could not load this page. The log has the details. Try again shortly.".to_owned(),
        request_id: None,
        links: vec![("/", "Go to the home page")],
    }
    .respond()
}

/// The page for a request with another host name. It loads no styles, because they would be requested from that host.
#[derive(Template)]
#[template(path = "misdirected.html")]
struct Misdirected<'a> {
    issuer: &'a str,
}

/// Returns the page for a request to another host, with a link to this server.
pub(crate) fn misdirected(state: &State) -> Response {
    respond(StatusCode::MISDIRECTED_REQUEST, &Misdirected { issuer: state.issuer.as_str() })
}

/// True if the request accepts `text/html`, as browsers do when a person opens a page.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let names = |value: &HeaderValue| value.as_bytes().windows(HTML.len()).any(|part| part.eq_ignore_ascii_case(HTML));
    headers.get_all(ACCEPT).iter().any(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_that_accept_html_get_a_page() {
        let accepts = |value| wants_page(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))]));
        assert!(accepts("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"));
        let not_ascii = HeaderValue::from_bytes(b"text/html, x/\xff").expect("a header");
        assert!(wants_page(&HeaderMap::from_iter([(ACCEPT, not_ascii)])));
        assert!(!accepts("*/*") && !accepts("application/json"));
        assert!(!wants_page(&HeaderMap::new()));
    }
}
