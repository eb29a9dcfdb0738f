//! Which page made a request, as far as its browser says.

use http::HeaderMap;
use http::header::{HeaderName, ORIGIN};

use crate::state::State;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why the request is a foreign page's (`null` is foreign, as is a sibling of our site); None if nothing says so.
pub fn find_foreign(state: &State, headers: &HeaderMap) -> Option<&'static str> {
    let is_ours = |name: &HeaderName, ours: &str| headers.get_all(name).iter().all(|value| value == ours);
    if !is_ours(&ORIGIN, state.issuer.as_str()) {
        return Some("Origin is another site");
    }
    (!is_ours(&SEC_FETCH_SITE, "same-origin")).then_some("Sec-Fetch-Site is not same-origin")
}
