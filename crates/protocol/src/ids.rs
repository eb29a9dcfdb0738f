//! The IDs of APIs, clients, users and families of refresh tokens.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::jose::base64url;

/// The first path segments of this server, which cannot be IDs of APIs.
pub const RESERVED_IDS: [&str; 19] = [
    "account",
    "admin",
    "api",
    "assets",
    "authz",
    "console",
    "healthz",
    "livez",
    "login",
    "logout",
    "m2m",
    "metrics",
    "oauth2",
    "protocols",
    "readyz",
    "resource",
    "settings",
    "static",
    "well-known",
];
/// The maximum length of a client_id, in bytes.
pub const MAX_CLIENT_ID_BYTES: usize = 100;
/// The prefix of all user IDs. No client_id begins with it.
pub const USER_ID_PREFIX: &str = "usr_";

/// An API's ID: `[a-z0-9][a-z0-9-]{0,62}`, except for [`RESERVED_IDS`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiId(Arc<str>);

impl ApiId {
    /// Parses an ID. Returns `None` if it is invalid or reserved.
    pub fn parse(text: &str) -> Option<Self> {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=63).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(inner);
        (fits && !RESERVED_IDS.contains(&text)).then(|| Self(text.into()))
    }
}

/// A client's ID: printable ASCII without space and `:` (so that a Basic header can contain it unchanged), not
/// beginning with `usr_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// Parses an ID. Returns `None` if it is invalid.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b':';
        let fits = (1..=MAX_CLIENT_ID_BYTES).contains(&text.len());
        let ours = text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(USER_ID_PREFIX));
        (fits && !ours && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    /// Returns the ID of no client, which is empty.
    pub(crate) fn nobody() -> Self {
        Self("".into())
    }
}

/// A user's ID: `usr_` and a UUID. It is the `sub` of their tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserId(String);

impl UserId {
    /// Parses a stored or presented ID. Returns `None` if it does not begin with `usr_`.
    pub fn parse(text: &str) -> Option<Self> {
        text.starts_with(USER_ID_PREFIX).then(|| Self(text.to_owned()))
    }

    /// Creates an ID from 16 random bytes, a version 4 UUID (RFC 9562 §5.4).
    pub fn from_random(random: [u8; 16]) -> Self {
        Self(format!("{USER_ID_PREFIX}{}", uuid::Builder::from_random_bytes(random).into_uuid()))
    }
}

/// The ID of a family of refresh tokens, which originate from one use of the password grant. It is not a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FamilyId(String);

impl FamilyId {
    /// Creates an ID from 16 random bytes.
    pub fn from_random(random: &[u8; 16]) -> Self {
        Self(base64url(random))
    }

    /// Takes a stored or presented ID.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// The text of IDs: `as_str` and `Display`.
macro_rules! show {
    ($($id:ident),+) => {$(
        impl $id {
            /// Returns the ID as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

show!(ApiId, ClientId, UserId, FamilyId);

impl Borrow<str> for ApiId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ClientId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_id_fits_a_path_segment_and_is_not_reserved() {
        for good in ["a", "oauthclient", "0-api", &"a".repeat(63)] {
            assert!(ApiId::parse(good).is_some(), "{good}");
        }
        for bad in ["", "-a", "A", "a_b", "a b", "a/b", "oauth2", "resource", &"a".repeat(64)] {
            assert!(ApiId::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_client_id_fits_a_basic_header_and_is_not_a_user_id() {
        for good in ["demo-service", "svc@example.com", "a", "us", "usr-1"] {
            assert!(ClientId::parse(good).is_some(), "{good}");
        }
        for bad in ["", "a b", "a:b", "usr_1", "USR_1", "é", "a\n", &"a".repeat(101)] {
            assert!(ClientId::parse(bad).is_none(), "{bad}");
        }
    }
}
