//! Checks whether a request is for this server.
//!
//! DNS rebinding: a malicious page makes its own host name resolve to this server's address. The browser then treats
//! the page and this server as one origin, and only the `Host` header shows that a request is not from one of our
//! pages.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::body::Body;
use countersign_protocol::issuer::Issuer;
use countersign_protocol::refusal::Refusal;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Request, Version};

/// Paths that are served under any name: health checks, and proxies that ask before they forward a request, use the
/// network's name for this server.
const UNDER_ANY_NAME: [&str; 4] = ["/livez", "/readyz", "/healthz", "/authz/forward"];

/// The host names of this server. Ports are not compared.
#[derive(Clone, Debug)]
pub(super) struct HostNames {
    /// The issuer's host and the configured names, without a trailing dot.
    names: Arc<[String]>,
    /// Whether the loopback names are included.
    takes_loopback: bool,
}

impl HostNames {
    /// Collects the issuer's host, these names and, for an issuer on loopback, the loopback names.
    pub fn new(issuer: &Issuer, more: &[String]) -> Self {
        let (own, _) = issuer.authority();
        let takes_loopback = is_loopback_name(&own);
        let names = std::iter::once(&own).chain(more).map(|name| without_dot(name).to_owned()).collect();
        Self { names, takes_loopback }
    }

    /// Fails if the request names another host. IP addresses are allowed, because they cannot be rebound.
    pub fn check(&self, request: &Request<Body>) -> Result<(), Refusal> {
        // Only HTTP/1.0 may omit the host, and no browser uses it.
        let Some(host) = request.headers().get(HOST) else {
            return Ok(());
        };
        if UNDER_ANY_NAME.contains(&request.uri().path()) {
            return Ok(());
        }
        let host = std::str::from_utf8(host.as_bytes()).ok().and_then(host_of).ok_or(Refusal::Host)?;
        let name = without_dot(host);
        let is_ours = self.names.iter().any(|ours| ours.eq_ignore_ascii_case(name))
            || name.parse::<IpAddr>().is_ok()
            || (self.takes_loopback && is_loopback_name(name));
        if is_ours { Ok(()) } else { Err(Refusal::ForeignHost) }
    }
}

/// Fails unless the request names exactly one host. Afterwards, it is in `Host`, even if HTTP/2's `:authority` named
/// it.
///
/// HTTP/1.1 requires exactly one `Host` (RFC 9112 §3.2). In HTTP/2, `:authority` replaces it, and an additional `Host`
/// must be the same (RFC 9113 §8.3.1). Otherwise, two servers might handle one request for different hosts.
pub(super) fn settle_host(request: &mut Request<Body>) -> Result<(), Refusal> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    let (is_named, authority) = match (host, request.uri().authority()) {
        (None, None) => (request.version() < Version::HTTP_11, None),
        (Some(_), None) => (another.is_none(), None),
        (Some(host), Some(authority)) => (another.is_none() && is_same_host(host, authority), Some(authority)),
        (None, Some(authority)) => (request.version() != Version::HTTP_11, Some(authority)),
    };
    // User information before the host is not part of it, and can deceive readers.
    if !is_named || authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Refusal::Host);
    }
    if let Some(authority) = authority {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Refusal::Host)?;
        request.headers_mut().insert(HOST, host);
    }
    Ok(())
}

/// Hosts are case-insensitive (RFC 3986 §6.2.2.1).
fn is_same_host(host: &HeaderValue, authority: &Authority) -> bool {
    host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
}

/// Returns the host of `host[:port]`, without the brackets of an IPv6 address, or `None` for anything else.
pub fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').filter(|(address, _)| address.parse::<Ipv6Addr>().is_ok())?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let has_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    (has_port && !host.is_empty() && host.bytes().all(is_of_host)).then_some(host)
}

/// RFC 3986 §3.2.2, plus the colon of an IPv6 address without its brackets.
fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:".contains(&byte)
}

/// `localhost`, a name below it (RFC 6761 §6.3), or a loopback address.
pub fn is_loopback_name(host: &str) -> bool {
    let host = without_dot(host).to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// A trailing dot marks a fully qualified name (RFC 1034 §3.1). It is the same name.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(issuer: &str, host: &[u8]) -> Result<(), Refusal> {
        let issuer = Issuer::parse(issuer).expect("an issuer");
        let names = HostNames::new(&issuer, &["auth.internal".to_owned(), "whole.internal.".to_owned()]);
        let host = HeaderValue::from_bytes(host).expect("a header");
        names.check(&Request::get("/oauth2/jwks").header(HOST, host).body(Body::empty()).expect("a request"))
    }

    #[test]
    fn a_host_matches_regardless_of_case_port_and_trailing_dot() {
        for host in ["auth.example", "AUTH.Example:1", "auth.example.", "auth.example.:8443", "Auth.Internal:80"] {
            assert_eq!(check("https://auth.example", host.as_bytes()), Ok(()), "{host}");
        }
        for host in ["whole.internal", "whole.internal.", "10.0.0.9:8080", "[::1]", "[2001:db8::1]:80", "auth.example:"]
        {
            assert_eq!(check("https://auth.example", host.as_bytes()), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "auth.example.evil.example",
            "xauth.example",
            "x.auth.example",
            "auth.example..",
            "localhost",
            "127.0.0.1.evil.example",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "auth.internal.evil",
        ] {
            assert_eq!(check("https://auth.example", host.as_bytes()), Err(Refusal::ForeignHost), "{host}");
        }
    }

    #[test]
    fn a_loopback_issuer_accepts_every_loopback_name() {
        for issuer in ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080", "http://a.localhost"] {
            for host in ["localhost", "LOCALHOST:9", "localhost.", "a.localhost:8080", "127.0.0.1", "[::1]:8080"] {
                assert_eq!(check(issuer, host.as_bytes()), Ok(()), "{issuer} {host}");
            }
            for host in ["evil.example", "localhost.evil.example", "notlocalhost", "localhost.localdomain"] {
                assert_eq!(check(issuer, host.as_bytes()), Err(Refusal::ForeignHost), "{issuer} {host}");
            }
        }
    }

    #[test]
    fn an_invalid_host_is_refused() {
        for host in [
            &b""[..],
            b":8080",
            b"[::1",
            b"[evil.example]",
            b"::1",
            b"auth.example:80:80",
            b"auth.example:x",
            b"auth.example:80@evil.example",
            b"auth.example@evil.example",
            b"auth.example/",
            b"auth.example, evil.example",
            b"http://auth.example",
            b"auth.example\xff",
        ] {
            assert_eq!(check("https://auth.example", host), Err(Refusal::Host), "{}", host.escape_ascii());
        }
    }
}
