//! What ends a token before its time (RFC 7009), and the claim by which a token is found to be ended.

use std::fmt;

use crate::access_token::Claims;
use crate::client::{Client, Status};
use crate::jose::jwk::KeyId;
use crate::refresh_token::FamilyId;
use crate::user::User;

/// What one revocation ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// One access token, by its `jti`.
    Token(String),
    /// A family of refresh tokens and the access tokens issued with it.
    Family(FamilyId),
    /// Every token signed by a key.
    Key(KeyId),
}

impl Revoked {
    /// The word and the id that are stored.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Token(id) => ("token", id),
            Self::Family(id) => ("family", id.as_str()),
            Self::Key(id) => ("key", id.as_str()),
        }
    }

    /// From the stored word and id.
    pub fn from_parts(kind: &str, id: String) -> Option<Self> {
        match kind {
            "token" => Some(Self::Token(id)),
            "family" => Some(Self::Family(FamilyId::new(id))),
            "key" => Some(Self::Key(KeyId::new(id))),
            _ => None,
        }
    }
}

/// The private claim `rev`: `CLIENT_EPOCH.USER_EPOCH[.FAMILY]`, the user epoch 0 without a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The client's epoch when the token was issued.
    pub client_epoch: i64,
    /// The user's epoch when the token was issued; 0 without a user.
    pub user_epoch: i64,
    /// The family that the token belongs to.
    pub family: Option<FamilyId>,
}

impl Revision {
    /// Reads the claim; `None` if it is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let mut epoch = || {
            let digits = parts.next()?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let (client_epoch, user_epoch) = (epoch()?, epoch()?);
        Some(Self { client_epoch, user_epoch, family: parts.next().map(FamilyId::new) })
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.client_epoch, self.user_epoch)?;
        match &self.family {
            Some(family) => write!(f, ".{family}"),
            None => Ok(()),
        }
    }
}

/// Why a token that verifies is dead all the same.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Ended {
    /// The token has no `rev`, so it is none of ours.
    #[error("the token has no `rev`")]
    NoRevision,
    /// The client is gone.
    #[error("the client is gone")]
    ClientGone,
    /// The client is disabled.
    #[error("the client is disabled")]
    ClientDisabled,
    /// The client's tokens were revoked since.
    #[error("the client's tokens were revoked since")]
    ClientEpoch,
    /// The user is gone.
    #[error("the user is gone")]
    UserGone,
    /// The user is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// The user's tokens were revoked since.
    #[error("the user's tokens were revoked since")]
    UserEpoch,
    /// The token, its family or its key was revoked.
    #[error("the {0} was revoked")]
    Revoked(&'static str),
}

/// Judges a verified token of ours against its client and user as they are now, and against the revocations.
///
/// `user` is who the `sub` names, `None` if nobody; it is not looked at for a token without a user.
pub fn check_alive(
    claims: &Claims,
    client: Option<&Client>,
    user: Option<&User>,
    is_revoked: impl Fn(&Revoked) -> bool,
) -> Result<(), Ended> {
    let revision = claims.revision.as_ref().ok_or(Ended::NoRevision)?;
    check_client(revision, client)?;
    if revision.user_epoch > 0 {
        check_user(revision, user)?;
    }
    let ends = [
        Some(Revoked::Token(claims.token_id.clone())),
        revision.family.clone().map(Revoked::Family),
        claims.key_id.clone().map(Revoked::Key),
    ];
    match ends.iter().flatten().find(|end| is_revoked(end)) {
        Some(end) => Err(Ended::Revoked(end.parts().0)),
        None => Ok(()),
    }
}

fn check_client(revision: &Revision, client: Option<&Client>) -> Result<(), Ended> {
    match client {
        None => Err(Ended::ClientGone),
        Some(client) if client.status == Status::Disabled => Err(Ended::ClientDisabled),
        Some(client) if revision.client_epoch < client.epoch => Err(Ended::ClientEpoch),
        Some(_) => Ok(()),
    }
}

fn check_user(revision: &Revision, user: Option<&User>) -> Result<(), Ended> {
    match user {
        None => Err(Ended::UserGone),
        Some(user) if user.status == Status::Disabled => Err(Ended::UserDisabled),
        Some(user) if revision.user_epoch < user.epoch => Err(Ended::UserEpoch),
        Some(_) => Ok(()),
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
