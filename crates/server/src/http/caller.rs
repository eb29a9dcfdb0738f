//! The sender of a request, and the request ID.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use countersign_protocol::jose::base64url;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::clock::Entropy;

/// The header of the request ID, in requests and responses.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The maximum length of a request ID that is accepted from a proxy, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The sender of a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The address of the user or service, behind any trusted proxies.
    pub address: IpAddr,
    /// The value of `X-Request-Id`.
    pub request_id: HeaderValue,
}

impl Caller {
    /// Returns the request ID as text.
    pub fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }
}

/// The trusted proxies. Only their `X-Forwarded-For` and `X-Request-Id` are used, because anyone else can write
/// anything there.
#[derive(Clone, Debug)]
pub(crate) struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Trusts these networks.
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// Returns the caller behind a request from `peer`.
    pub(crate) fn identify(&self, headers: &HeaderMap, peer: IpAddr, entropy: &Entropy) -> Caller {
        let address = peer.to_canonical();
        if !self.trusts(address) {
            return Caller { address, request_id: new_request_id(entropy) };
        }
        // If there are several, one may be what the client sent to the proxy.
        let mut ids = headers.get_all(REQUEST_ID).iter();
        let inbound = ids.next().filter(|id| ids.next().is_none() && is_plausible(id)).cloned();
        Caller {
            address: self.find_origin(address, headers),
            request_id: inbound.unwrap_or_else(|| new_request_id(entropy)),
        }
    }

    /// Returns the last address in the chain that is not a trusted proxy. Earlier entries cannot be trusted.
    fn find_origin(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        // As bytes: a client may have sent values that are not ASCII, and the proxy's own entry comes after them.
        let lines = headers.get_all(FORWARDED_FOR).iter();
        // Empty elements do not count (RFC 9110 §5.6.1).
        let elements = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        let chain: Vec<&[u8]> = elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty()).collect();
        let mut origin = peer;
        for hop in chain.iter().rev() {
            let Some(address) = std::str::from_utf8(hop).ok().and_then(parse_hop) else {
                break;
            };
            origin = address.to_canonical();
            if !self.trusts(origin) {
                break;
            }
        }
        origin
    }

    /// True for an address in one of the networks.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Parses an address. Some proxies put it into brackets, or append a port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    bare.parse().ok().or_else(|| hop.parse().ok().map(|address: SocketAddr| address.ip()))
}

fn is_plausible(id: &HeaderValue) -> bool {
    (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// Returns twelve random bytes, encoded. The ID never begins with `-`, so that no command line interprets it as a flag.
fn new_request_id(entropy: &Entropy) -> HeaderValue {
    let mut id = base64url(&entropy.bytes::<12>());
    if id.starts_with('-') {
        id.replace_range(..1, "_");
    }
    HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(peer: &str, forwarded_for: &[u8]) -> String {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
        let mut headers = HeaderMap::new();
        for line in forwarded_for.split(|byte| *byte == b'\n') {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line).expect("a header"));
        }
        let peer = peer.parse().expect("an address");
        TrustedProxies::new(&networks).identify(&headers, peer, &Entropy::System).address.to_string()
    }

    #[test]
    fn the_caller_is_the_last_address_that_is_not_a_trusted_proxy() {
        for (peer, forwarded_for, expected) in [
            ("192.0.2.9", "198.51.100.1", "192.0.2.9"),
            ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "203.0.113.7, 198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "203.0.113.7, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
            ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
            ("fd00::1", "[2001:db8::2]:4711", "2001:db8::2"),
            ("fd00::1", "[2001:db8::2]", "2001:db8::2"),
            ("::ffff:10.0.0.1", "2001:db8::2", "2001:db8::2"),
            ("10.0.0.1", "198.51.100.1, nonsense", "10.0.0.1"),
            ("10.0.0.1", "", "10.0.0.1"),
        ] {
            assert_eq!(origin(peer, forwarded_for.as_bytes()), expected, "{peer} {forwarded_for}");
        }
    }

    #[test]
    fn non_ascii_bytes_do_not_hide_what_a_proxy_appended() {
        for (forwarded_for, expected) in [
            (&b"\xff, 203.0.113.9"[..], "203.0.113.9"),
            (b"\xff\n203.0.113.9", "203.0.113.9"),
            (b"caf\xc3\xa9, 203.0.113.9\n10.9.9.9", "203.0.113.9"),
            (b"203.0.113.9, \xff", "10.0.0.1"),
            (b"203.0.113.9,", "203.0.113.9"),
            (b"198.51.100.1, 203.0.113.9, ,10.9.9.9", "203.0.113.9"),
            (b"203.0.113.9\n\xff", "10.0.0.1"),
        ] {
            assert_eq!(origin("10.0.0.1", forwarded_for), expected, "{}", forwarded_for.escape_ascii());
        }
    }
}
