//! A cookie of a request.

use http::HeaderMap;
use http::header::COOKIE;

/// The one cookie of this name; two of them may be a neighbour's doing, and are none.
pub fn find_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // As bytes: another program at this host may have set a cookie that is not ASCII.
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    let only = values.next().filter(|_| values.next().is_none())?;
    std::str::from_utf8(only).ok()
}
