//! Refuses requests that our own pages did not make, whatever cookies the browser sent.

use countersign_server::http::cookie::find_cookie;
use countersign_server::http::origin::find_foreign;
use countersign_server::state::State;
use http::HeaderMap;
use http::header::HeaderName;

use crate::api::fault::Fault;
use crate::session::{SessionKey, XSRF_COOKIE};

const XSRF_HEADER: HeaderName = HeaderName::from_static("x-xsrf-token");

/// Fails if the browser reports another origin.
pub(crate) fn check_origin(state: &State, headers: &HeaderMap) -> Result<(), Fault> {
    find_foreign(state, headers).map_or(Ok(()), |reason| Err(Fault::xsrf(reason)))
}

/// Fails unless the cookie and the header are both present once, and belong to this session.
pub(crate) fn check_pair(state: &State, headers: &HeaderMap, key: &SessionKey) -> Result<(), Fault> {
    let cookie = find_cookie(headers, XSRF_COOKIE).ok_or(Fault::xsrf("missing or duplicate XSRF-TOKEN cookie"))?;
    let mut values = headers.get_all(XSRF_HEADER).iter();
    let header = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    let header = header.ok_or(Fault::xsrf("missing or duplicate X-XSRF-TOKEN header"))?;
    if !key.is_pair(state, header) {
        return Err(Fault::xsrf("the X-XSRF-TOKEN header does not belong to this session"));
    }
    // A site on a neighboring domain may have set this cookie to the pair of its own session (CVE-2023-45141).
    if key.is_pair(state, cookie) {
        Ok(())
    } else {
        Err(Fault::xsrf("the XSRF-TOKEN cookie does not belong to this session"))
    }
}
