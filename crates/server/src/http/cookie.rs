//! Cookies of a request.

use http::HeaderMap;
use http::header::COOKIE;

/// Returns the cookie with this name. If there are two, one may come from another site on a neighboring domain, so
/// neither is used.
pub fn find_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // As bytes: another program on this host may have set a cookie that is not ASCII.
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    let only = values.next().filter(|_| values.next().is_none())?;
    std::str::from_utf8(only).ok()
}
