//! The audience of an API (RFC 8707 §2), and when two spellings of it are equivalent.

use std::fmt;

use url::Url;

/// An API's audience: an absolute URI without a fragment, kept exactly as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Audience(String);

impl Audience {
    /// Parses an absolute URI. Returns `None` if it is relative or has a fragment.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let clean = text.bytes().all(|byte| byte.is_ascii_graphic());
        (clean && url.fragment().is_none()).then(|| Self(text.to_owned()))
    }

    /// Returns the URI as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns a text that is the same for all equivalent spellings of a URI: scheme and host in any case (RFC 3986
/// §6.2.2.1), with or without the default port, an empty path or `/` (§6.2.3). Nothing else is normalized, because a
/// path means what its API decides.
///
/// Accepts any text. The result is for comparison only.
pub fn normalize(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return uri.to_owned();
    };
    let scheme = scheme.to_ascii_lowercase();
    let Some(rest) = rest.strip_prefix("//") else {
        return format!("{scheme}:{rest}");
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
    let at = if authority.contains('@') { "@" } else { "" };
    let mut host = host.to_ascii_lowercase();
    // The last colon of an IPv6 address is inside the brackets.
    if let Some((name, port)) = host.rsplit_once(':').filter(|(_, port)| !port.contains(']'))
        && (port.is_empty() || default_port(&scheme) == Some(port))
    {
        host.truncate(name.len());
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{scheme}://{user}{at}{host}{slash}{path}")
}

fn default_port(scheme: &str) -> Option<&'static str> {
    match scheme {
        "http" | "ws" => Some("80"),
        "https" | "wss" => Some("443"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_is_an_absolute_uri_without_fragment() {
        for good in ["https://billing.example", "urn:example:billing", "http://127.0.0.1:8080/resource"] {
            assert!(Audience::parse(good).is_some(), "{good}");
        }
        for bad in ["", "billing", "/billing", "https://billing.example/#x", "https://b.example/ x"] {
            assert!(Audience::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn spellings_of_scheme_host_default_port_and_empty_path_are_equivalent() {
        for equivalent in [
            &["https://billing.example", "HTTPS://Billing.Example:443/", "https://billing.example:"][..],
            &["http://[::1]/x", "HTTP://[::1]:80/x"],
            &["http://[fe80::A]", "http://[FE80::a]:80/"],
            &["https://b.example?v=1", "https://B.example/?v=1"],
            &["urn:example:Billing", "URN:example:Billing"],
            &["api://ada@Billing", "api://ada@billing/"],
        ] {
            for uri in equivalent {
                assert_eq!(normalize(uri), normalize(equivalent[0]), "{uri}");
            }
        }
    }

    #[test]
    fn everything_else_distinguishes() {
        for (one, other) in [
            ("https://b.example", "http://b.example"),
            ("https://b.example", "https://b.example:80"),
            ("https://b.example:8443", "https://b.example"),
            ("https://b.example/x", "https://b.example/X"),
            ("https://b.example/x", "https://b.example/x/"),
            ("https://b.example/a/../x", "https://b.example/x"),
            ("https://b.example/%7Ex", "https://b.example/~x"),
            ("https://Ada@b.example", "https://ada@b.example"),
            ("https://@b.example", "https://b.example"),
            ("https://b.example?v=1", "https://b.example?V=1"),
            ("urn:example:Billing", "urn:example:billing"),
            ("billing", "Billing"),
        ] {
            assert_ne!(normalize(one), normalize(other), "{one} {other}");
        }
    }
}
