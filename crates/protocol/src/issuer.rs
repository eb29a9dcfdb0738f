//! The issuer: the origin that identifies this authorization server (RFC 8414 §2, but without a path).

use std::fmt;

use url::{Host, Url};

/// An origin, for example `https://auth.example` or `http://127.0.0.1:8080`, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(String);

/// Why a text is not an issuer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IssuerError {
    /// It is not an absolute URL with a host.
    #[error("must be an absolute URL with a host")]
    NotAUrl,
    /// Its scheme is neither `https` nor `http`.
    #[error("the scheme must be https or http")]
    Scheme,
    /// It has more than scheme, host and port, or is not in canonical form.
    #[error("must contain only scheme, host and port: `{0}`")]
    NotAnOrigin(String),
}

impl Issuer {
    /// Parses an origin. For a default port, a trailing slash, a path or upper case, the error contains the canonical
    /// form.
    pub fn parse(text: &str) -> Result<Self, IssuerError> {
        let url = Url::parse(text).map_err(|_| IssuerError::NotAUrl)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(IssuerError::Scheme);
        }
        let origin = url.origin().ascii_serialization();
        if origin == text { Ok(Self(origin)) } else { Err(IssuerError::NotAnOrigin(origin)) }
    }

    /// Returns the origin as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a URL under the issuer. `path` begins with `/`.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// True if the scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// Returns the host and port for a resolver, with IPv6 addresses in brackets.
    pub fn authority(&self) -> (String, u16) {
        let url = Url::parse(&self.0).ok();
        let host = url.as_ref().and_then(Url::host).map(|host| match host {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        });
        let port = url.as_ref().and_then(Url::port_or_known_default);
        (host.unwrap_or_default(), port.unwrap_or_default())
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_an_origin_in_canonical_form() {
        for good in ["http://127.0.0.1:8080", "https://auth.example", "http://[::1]:8080", "https://a.example:8443"] {
            assert_eq!(Issuer::parse(good).map(|issuer| issuer.to_string()), Ok(good.to_owned()));
        }
        for (bad, right) in [
            ("https://auth.example/", "https://auth.example"),
            ("https://auth.example:443", "https://auth.example"),
            ("https://AUTH.example", "https://auth.example"),
            ("https://auth.example/tenant", "https://auth.example"),
            ("https://user@auth.example", "https://auth.example"),
        ] {
            assert_eq!(Issuer::parse(bad), Err(IssuerError::NotAnOrigin(right.to_owned())));
        }
        assert_eq!(Issuer::parse("auth.example"), Err(IssuerError::NotAUrl));
        assert_eq!(Issuer::parse("ftp://auth.example"), Err(IssuerError::Scheme));
    }
}
