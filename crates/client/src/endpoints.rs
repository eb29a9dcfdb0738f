//! The endpoints of an authorization server (RFC 6749 §3.2, RFC 7662 §2, RFC 7009 §2).

use http::Uri;
use url::{Host, Url};

use crate::error::ClientError;

/// The URLs of an authorization server: https, or http to this machine only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    token: Endpoint,
    introspect: Endpoint,
    revoke: Endpoint,
}

/// A validated URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) url: Url,
    pub(crate) uri: Uri,
}

/// Why a URL is invalid. The message never repeats the URL, which may contain a password.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EndpointFault {
    /// It is not an absolute URL with a host.
    #[error("must be an absolute URL with a host")]
    NotAUrl,
    /// It is neither https nor on this machine. Others on the network could read the secret.
    #[error("must begin with https:// (or http:// for 127.0.0.1, [::1] and localhost)")]
    NotHttps,
    /// It contains a user name or password.
    #[error("must not contain a user name or password")]
    UserInfo,
    /// It contains a fragment, which RFC 6749 §3.2 forbids.
    #[error("must not contain a fragment")]
    Fragment,
    /// The tenant contains a query.
    #[error("must not contain a query")]
    Query,
    /// The app ID is empty, a dot segment, or contains control characters.
    #[error("must not be empty, a dot segment, or contain control characters")]
    AppId,
}

impl Endpoints {
    /// Returns the tenant-style URLs of an app: `{tenant}/OAuth2/Token/{app}`, `…/Introspect/{app}`, `…/Revoke/{app}`.
    pub fn tenant(tenant_url: &str, app_id: &str) -> Result<Self, ClientError> {
        Self::of_tenant(tenant_url, app_id, Reach::Network)
    }

    /// Like [`Endpoints::tenant`], for a server in this process. Its [`crate::Transport`] uses no network, so that
    /// `http` is safe.
    pub fn tenant_in_process(tenant_url: &str, app_id: &str) -> Result<Self, ClientError> {
        Self::of_tenant(tenant_url, app_id, Reach::Process)
    }

    fn of_tenant(tenant_url: &str, app_id: &str, reach: Reach) -> Result<Self, ClientError> {
        let tenant =
            check_tenant(tenant_url, reach).map_err(|fault| ClientError::Endpoint { name: "tenant", fault })?;
        check_app_id(app_id).map_err(|fault| ClientError::Endpoint { name: "app id", fault })?;
        let under = |word| under_tenant(&tenant, word, app_id, reach);
        Ok(Self { token: under("Token")?, introspect: under("Introspect")?, revoke: under("Revoke")? })
    }

    /// Uses exactly these URLs.
    pub fn explicit(token: &str, introspect: &str, revoke: &str) -> Result<Self, ClientError> {
        Self::of_addresses([token, introspect, revoke], Reach::Network)
    }

    /// Like [`Endpoints::explicit`], for a server in this process. Its [`crate::Transport`] uses no network, so that `http`
    /// is safe.
    pub fn explicit_in_process(token: &str, introspect: &str, revoke: &str) -> Result<Self, ClientError> {
        Self::of_addresses([token, introspect, revoke], Reach::Process)
    }

    fn of_addresses([token, introspect, revoke]: [&str; 3], reach: Reach) -> Result<Self, ClientError> {
        let parse = |name, text| Endpoint::parse(text, reach).map_err(|fault| ClientError::Endpoint { name, fault });
        Ok(Self {
            token: parse("token endpoint", token)?,
            introspect: parse("introspection endpoint", introspect)?,
            revoke: parse("revocation endpoint", revoke)?,
        })
    }

    /// Returns the token endpoint.
    pub fn token(&self) -> &Url {
        &self.token.url
    }

    /// Returns the introspection endpoint.
    pub fn introspect(&self) -> &Url {
        &self.introspect.url
    }

    /// Returns the revocation endpoint.
    pub fn revoke(&self) -> &Url {
        &self.revoke.url
    }

    pub(crate) fn token_endpoint(&self) -> &Endpoint {
        &self.token
    }

    pub(crate) fn introspection_endpoint(&self) -> &Endpoint {
        &self.introspect
    }

    pub(crate) fn revocation_endpoint(&self) -> &Endpoint {
        &self.revoke
    }
}

impl Endpoint {
    fn parse(text: &str, reach: Reach) -> Result<Self, EndpointFault> {
        let url = Url::parse(text).map_err(|_| EndpointFault::NotAUrl)?;
        check_url(&url, reach)?;
        let uri = url.as_str().parse().map_err(|_| EndpointFault::NotAUrl)?;
        Ok(Self { url, uri })
    }
}

/// How far secrets travel to a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Over a network, where others may listen.
    Network,
    /// They stay in this process.
    Process,
}

/// Checks the rules for every URL that receives a secret.
pub(crate) fn check_url(url: &Url, reach: Reach) -> Result<(), EndpointFault> {
    if !url.has_host() {
        return Err(EndpointFault::NotAUrl);
    }
    let may_be_http = reach == Reach::Process || is_loopback(url);
    if url.scheme() != "https" && !(url.scheme() == "http" && may_be_http) {
        return Err(EndpointFault::NotHttps);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(EndpointFault::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(EndpointFault::Fragment);
    }
    Ok(())
}

/// True for loopback addresses and `localhost`. Other names are not resolved, because name resolution can be
/// manipulated.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn check_tenant(tenant_url: &str, reach: Reach) -> Result<Url, EndpointFault> {
    let tenant = Endpoint::parse(tenant_url, reach)?.url;
    if tenant.query().is_some() { Err(EndpointFault::Query) } else { Ok(tenant) }
}

/// Dot segments and control characters would be removed from the path, which would then name another app.
fn check_app_id(app_id: &str) -> Result<(), EndpointFault> {
    let is_name = !matches!(app_id, "" | "." | "..") && !app_id.chars().any(char::is_control);
    if is_name { Ok(()) } else { Err(EndpointFault::AppId) }
}

fn under_tenant(tenant: &Url, word: &str, app_id: &str, reach: Reach) -> Result<Endpoint, ClientError> {
    let mut url = tenant.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(["OAuth2", word, app_id]);
    }
    Endpoint::parse(url.as_str(), reach).map_err(|fault| ClientError::Endpoint { name: "tenant", fault })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fault(result: Result<Endpoints, ClientError>) -> EndpointFault {
        match result {
            Err(ClientError::Endpoint { fault, .. }) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_tenant_and_an_app_determine_three_urls() {
        for tenant in ["https://auth.example", "https://auth.example/"] {
            let endpoints = Endpoints::tenant(tenant, "oauthclient").expect("a tenant");
            assert_eq!(endpoints.token().as_str(), "https://auth.example/OAuth2/Token/oauthclient");
            assert_eq!(endpoints.introspect().as_str(), "https://auth.example/OAuth2/Introspect/oauthclient");
            assert_eq!(endpoints.revoke().as_str(), "https://auth.example/OAuth2/Revoke/oauthclient");
        }
        let below = Endpoints::tenant("http://[::1]:8080/t/", "a/b?c#d%2e é").expect("a tenant");
        assert_eq!(below.token().as_str(), "http://[::1]:8080/t/OAuth2/Token/a%2Fb%3Fc%23d%252e%20%C3%A9");
    }

    #[test]
    fn a_secret_is_only_sent_in_plain_text_to_this_machine() {
        let of = |token| Endpoints::explicit(token, "https://a.example/i", "https://a.example/r");
        for good in [
            "https://auth.example/token?tenant=1",
            "http://127.0.0.1:8080/t",
            "http://127.8.8.8/t",
            "http://[::1]/t",
            "http://localhost:1/t",
            "http://LOCALHOST/t",
        ] {
            assert!(of(good).is_ok(), "{good}");
        }
        for bad in [
            "http://auth.example/t",
            "http://localhost.example/t",
            "http://127.0.0.1.example/t",
            "http://0.0.0.0/t",
            "http://[::ffff:127.0.0.1]/t",
            "http://app.localhost/t",
            "ftp://127.0.0.1/t",
        ] {
            assert_eq!(fault(of(bad)), EndpointFault::NotHttps, "{bad}");
        }
        let within = Endpoints::tenant_in_process;
        assert!(within("http://auth.example", "app").is_ok());
        assert_eq!(fault(within("ftp://auth.example", "app")), EndpointFault::NotHttps);
        let within = |token| Endpoints::explicit_in_process(token, token, token);
        assert!(within("http://auth.example/t").is_ok());
        assert_eq!(fault(within("http://me:x@auth.example/t")), EndpointFault::UserInfo);
    }

    #[test]
    fn an_invalid_url_is_refused_by_name_and_not_repeated() {
        let of = |token| Endpoints::explicit("https://a.example/t", token, "https://a.example/r");
        for bad in ["", "auth.example", "/token", "https://", "data:,x", "https://a b.example"] {
            assert!(matches!(fault(of(bad)), EndpointFault::NotAUrl | EndpointFault::NotHttps), "{bad}");
        }
        assert_eq!(fault(of("https://a.example/#f")), EndpointFault::Fragment);
        assert_eq!(fault(of("https://:x@a.example/")), EndpointFault::UserInfo);
        let error = of("https://me:hunter2@a.example/").expect_err("a password in it");
        assert_eq!(error.to_string(), "the introspection endpoint must not contain a user name or password");
        assert!(!format!("{error:?}").contains("hunter2"));
        assert_eq!(fault(Endpoints::tenant("https://a.example/?x", "app")), EndpointFault::Query);
        for app_id in ["", ".", "..", "a\nb", "\t", "a\0"] {
            assert_eq!(fault(Endpoints::tenant("https://a.example", app_id)), EndpointFault::AppId, "{app_id:?}");
        }
    }

    proptest! {
        #[test]
        fn any_app_id_becomes_exactly_one_segment(app_id in "\\PC{1,20}") {
            prop_assume!(check_app_id(&app_id).is_ok());
            let endpoints = Endpoints::tenant("https://auth.example", &app_id).expect("a tenant");
            let segments: Vec<&str> = endpoints.token().path_segments().expect("segments").collect();
            prop_assert_eq!(segments.len(), 3);
            // In a path, `+` is a literal character. The form decoder would turn it into a space.
            let decoded = countersign_protocol::form::decode(segments[2].replace('+', "%2B").as_bytes()).expect("text");
            prop_assert_eq!(decoded.as_str(), app_id.as_str());
        }
    }
}
