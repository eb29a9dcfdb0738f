//! The claims of an access token, among them our own `rev`.

use std::fmt;

use crate::UnixTime;
use crate::grant_type::GrantType;
use crate::ids::FamilyId;
use crate::jose::jwk::KeyId;
use crate::scope::Scope;

/// The claims of an access token, verified unless a name says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`, of which ours have one.
    pub audiences: Vec<String>,
    /// `client_id`.
    pub client_id: String,
    /// `iat`.
    pub issued_at: UnixTime,
    /// `exp`.
    pub expires_at: UnixTime,
    /// `nbf`, which ours do not have.
    pub not_before: Option<UnixTime>,
    /// `jti`.
    pub token_id: String,
    /// `scope`; none if the claim is missing.
    pub scope: Scope,
    /// `auth_time`, the guide's.
    pub auth_time: Option<UnixTime>,
    /// `unique_name`, the guide's.
    pub unique_name: Option<String>,
    /// `rev`, ours.
    pub revision: Option<Revision>,
    /// The `kid` of the header.
    pub key_id: Option<KeyId>,
}

/// The private claim `rev`: `CHANGE.USER_CHANGE[.FAMILY]`. Both numbers are the registry's change at issue; the second is 0
/// for a token without a user. A token from before version 6 of the database has the epochs of its client and user here,
/// which are not later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The registry's change when the token was issued.
    pub issued_change: i64,
    /// The same for a token that speaks for a user; 0 without a user.
    pub user_change: i64,
    /// The family that the token belongs to.
    pub family: Option<FamilyId>,
}

impl Revision {
    /// Reads the claim; `None` if it is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let mut number = || {
            let digits = parts.next()?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let (issued_change, user_change) = (number()?, number()?);
        Some(Self { issued_change, user_change, family: parts.next().map(FamilyId::new) })
    }

    /// True if the token speaks for a user.
    pub fn has_user(&self) -> bool {
        self.user_change > 0
    }

    /// The grant whose removal ends the token. A refreshed token came of a password, too.
    pub(crate) fn grant(&self) -> GrantType {
        if self.has_user() { GrantType::Password } else { GrantType::ClientCredentials }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.issued_change, self.user_change)?;
        match &self.family {
            Some(family) => write!(f, ".{family}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_survives_printing_and_nothing_else_is_read() {
        for good in ["1.0", "17.23", "17.23.aF-_x"] {
            assert_eq!(Revision::parse(good).map(|revision| revision.to_string()), Some(good.to_owned()));
        }
        for bad in ["", "1", "1.", ".1", "-1.0", "+1.0", "a.b", "1.99999999999999999999"] {
            assert_eq!(Revision::parse(bad), None, "{bad}");
        }
    }
}
