//! Checks which page made a request, as far as the browser reports it.

use http::HeaderMap;
use http::header::{HeaderName, ORIGIN};

use crate::state::State;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Returns why the request comes from another origin (`null` counts, and so does a sibling domain), or `None` if no
/// header says so.
pub fn find_foreign(state: &State, headers: &HeaderMap) -> Option<&'static str> {
    let is_ours = |name: &HeaderName, ours: &str| headers.get_all(name).iter().all(|value| value == ours);
    if !is_ours(&ORIGIN, state.issuer.as_str()) {
        return Some("Origin is another site");
    }
    (!is_ours(&SEC_FETCH_SITE, "same-origin")).then_some("Sec-Fetch-Site is not same-origin")
}

/// True if the request comes from a page whose origin is in `http.cors_origins`.
pub(crate) fn is_named(state: &State, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    matches!((origins.next(), origins.next()), (Some(only), None) if state.cors_origins.contains(only))
}
