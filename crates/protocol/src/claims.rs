//! The claims of an access token, including our own `rev`.

use std::fmt;

use crate::UnixTime;
use crate::grant_type::GrantType;
use crate::ids::FamilyId;
use crate::jose::jwk::KeyId;
use crate::scope::Scope;

/// The claims of an access token. They are verified, unless a name says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`. Our tokens have one.
    pub audiences: Vec<String>,
    /// `client_id`.
    pub client_id: String,
    /// `iat`.
    pub issued_at: UnixTime,
    /// `exp`.
    pub expires_at: UnixTime,
    /// `nbf`. Our tokens have none.
    pub not_before: Option<UnixTime>,
    /// `jti`.
    pub token_id: String,
    /// `scope`. Empty if the claim is missing.
    pub scope: Scope,
    /// `auth_time`, from the guide.
    pub auth_time: Option<UnixTime>,
    /// `unique_name`, from the guide.
    pub unique_name: Option<String>,
    /// `rev`, our own.
    pub revision: Option<Revision>,
    /// The `kid` in the header.
    pub key_id: Option<KeyId>,
}

/// The private claim `rev`: `CHANGE.USER_CHANGE[.FAMILY]`. Both numbers are the registry's change at the time of issue.
/// The second is 0 for a token without a user. Tokens from before version 6 of the database have the epochs of their
/// client and user here, which are not later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The registry's change when the token was issued.
    pub issued_change: i64,
    /// The same for a token of a user, or 0 without a user.
    pub user_change: i64,
    /// The family that the token belongs to.
    pub family: Option<FamilyId>,
}

impl Revision {
    /// Parses the claim. Returns `None` if it is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let mut number = || {
            let digits = parts.next()?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let (issued_change, user_change) = (number()?, number()?);
        Some(Self { issued_change, user_change, family: parts.next().map(FamilyId::new) })
    }

    /// True if the token represents a user.
    pub fn has_user(&self) -> bool {
        self.user_change > 0
    }

    /// The grant whose removal revokes the token. A refreshed token originates from a password, too.
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
    fn a_printed_revision_parses_and_nothing_else() {
        for good in ["1.0", "17.23", "17.23.aF-_x"] {
            assert_eq!(Revision::parse(good).map(|revision| revision.to_string()), Some(good.to_owned()));
        }
        for bad in ["", "1", "1.", ".1", "-1.0", "+1.0", "a.b", "1.99999999999999999999"] {
            assert_eq!(Revision::parse(bad), None, "{bad}");
        }
    }
}
