//! What all pages share: the frame, the headers, and the redirect to the issuer's host name.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use countersign_protocol::issuer::Issuer;
use countersign_server::http::host::{host_of, is_loopback_name};
use countersign_server::state::State;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};

use crate::session::Person;
use crate::static_files;

/// The headers of every page, each with the attack that it prevents.
const HEADERS: [(HeaderName, &str); 6] = [
    // Injected markup: no foreign script, style or form target, and no text that becomes script.
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    ),
    // A shared machine: a page of one user shown to the next one.
    (CACHE_CONTROL, "no-store"),
    // Text interpreted as script.
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Our URLs in the Referer header of requests to other sites.
    (REFERRER_POLICY, "same-origin"),
    // Clickjacking, in browsers without support for frame-ancestors.
    (X_FRAME_OPTIONS, "DENY"),
    // A window of another site that keeps a reference to ours.
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The frame around a page.
pub(crate) struct Frame {
    /// The title of the document.
    pub(crate) title: &'static str,
    /// The path of the page, for the navigation.
    pub(crate) path: &'static str,
    /// The signed-in user.
    pub(crate) person: Option<Person>,
    /// Whether the page needs JavaScript.
    pub(crate) needs_script: bool,
}

impl Frame {
    /// Creates the frame of a page that needs JavaScript.
    pub(crate) fn new(title: &'static str, path: &'static str, person: Option<Person>) -> Self {
        Self { title, path, person, needs_script: true }
    }

    /// Creates the frame of a page that works without JavaScript.
    pub(crate) fn of_text(title: &'static str, path: &'static str, person: Option<Person>) -> Self {
        Self { title, path, person, needs_script: false }
    }

    /// Returns the URL of a static file.
    pub(crate) fn asset(&self, name: &str) -> String {
        static_files::address(name)
    }
}

/// Returns a page as a response.
pub(crate) fn respond(status: StatusCode, page: &impl Template) -> Response {
    let rendered = page.render().map_err(|error| tracing::error!(%error, "failed to render a page"));
    let Ok(text) = rendered else {
        return with_headers(StatusCode::INTERNAL_SERVER_ERROR.into_response());
    };
    let mut response = (status, text).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    with_headers(response)
}

/// Returns a 303 redirect, so that the next request is a GET.
pub(crate) fn see_other(path: &'static str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(path));
    with_headers(response)
}

/// Adds the headers of every page to a response.
pub(crate) fn with_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Wraps every page: redirects to the issuer's host name, and adds the headers, also to responses of extractors.
pub(crate) async fn around(
    extract::State(state): extract::State<Arc<State>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    match find_own_name(&state.issuer, request.headers(), path) {
        Some(address) => {
            let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
            response.headers_mut().insert(LOCATION, address);
            with_headers(response)
        }
        None => with_headers(next.run(request).await),
    }
}

/// Returns the URL with the issuer's host name, if both names are loopback and differ. Cookies and `Origin` belong to a
/// name, so the playground only works with one of them.
fn find_own_name(issuer: &Issuer, headers: &HeaderMap, path: &str) -> Option<HeaderValue> {
    let asked = host_of(headers.get(HOST)?.to_str().ok()?)?;
    let (own, _) = issuer.authority();
    if own.eq_ignore_ascii_case(asked) || !is_loopback_name(&own) || !is_loopback_name(asked) {
        return None;
    }
    HeaderValue::from_str(&issuer.join(path)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_the_headers_and_a_policy_without_unsafe() {
        let response = with_headers(StatusCode::OK.into_response());
        let header = |name: &str| response.headers()[name].to_str().expect("a text").to_owned();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "));
        assert!(policy.ends_with("frame-ancestors 'none'; require-trusted-types-for 'script'"));
        assert!(!policy.contains("unsafe") && !policy.contains("  "));
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
    }

    #[test]
    fn only_loopback_names_redirect_to_the_issuers() {
        let led = |issuer: &str, host: &str| {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_str(host).expect("a host"))]);
            let issuer = Issuer::parse(issuer).expect("an issuer");
            find_own_name(&issuer, &headers, "/m2m?a=b").map(|address| address.to_str().expect("a text").to_owned())
        };
        let ours = "http://127.0.0.1:8080";
        for other in ["localhost:8080", "localhost.", "LOCALHOST:9", "[::1]:8080", "127.0.0.2:8080", "a.localhost"] {
            assert_eq!(led(ours, other), Some("http://127.0.0.1:8080/m2m?a=b".to_owned()), "{other}");
        }
        for same in ["127.0.0.1:8080", "127.0.0.1", "127.0.0.1:9", "evil.example", "localhost.evil.example", "10.0.0.1"]
        {
            assert_eq!(led(ours, same), None, "{same}");
        }
        assert_eq!(led("https://auth.example", "localhost"), None);
        assert_eq!(led("http://[::1]:8080", "[::1]:8080"), None);
        assert_eq!(led("http://[::1]:8080", "127.0.0.1:8080"), Some("http://[::1]:8080/m2m?a=b".to_owned()));
    }
}
