//! What revokes a token (RFC 7009).

use crate::api::Api;
use crate::claims::{Claims, Revision};
use crate::client::Client;
use crate::ids::FamilyId;
use crate::jose::jwk::KeyId;
use crate::removal::find_removed;
use crate::right::Right;
use crate::status::Status;
use crate::user::User;

/// The target of a revocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// One access token, identified by its `jti`.
    Token(String),
    /// A family of refresh tokens and its access tokens.
    Family(FamilyId),
    /// Every token signed by a key.
    Key(KeyId),
}

impl Revoked {
    /// Returns the stored word and ID.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Token(id) => ("token", id),
            Self::Family(id) => ("family", id.as_str()),
            Self::Key(id) => ("key", id.as_str()),
        }
    }

    /// Parses the stored word and ID.
    pub fn from_parts(kind: &str, id: String) -> Option<Self> {
        match kind {
            "token" => Some(Self::Token(id)),
            "family" => Some(Self::Family(FamilyId::new(id))),
            "key" => Some(Self::Key(KeyId::new(id))),
            _ => None,
        }
    }
}

/// Why a token with a valid signature is refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Ended {
    /// The token has no valid `rev`, so this server did not issue it.
    #[error("the token has no valid `rev` claim")]
    NoRevision,
    /// The client was deleted.
    #[error("the client was deleted")]
    ClientGone,
    /// The client is disabled.
    #[error("the client is disabled")]
    ClientDisabled,
    /// The client's tokens were revoked later.
    #[error("the client's tokens have since been revoked")]
    ClientEpoch,
    /// The user was deleted.
    #[error("the user was deleted")]
    UserGone,
    /// The user is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// The user's tokens were revoked later.
    #[error("the user's tokens have since been revoked")]
    UserEpoch,
    /// No API has the token's audience.
    #[error("no API has this audience")]
    ApiGone,
    /// The API was created, or got this audience, after the token was issued.
    #[error("the API was deleted or its audience changed after the token was issued")]
    ApiEpoch,
    /// A right that the token uses was removed after it was issued.
    #[error("{} was removed after the token was issued", describe(.0))]
    RightRemoved(Right),
    /// A secret of a client with access to `admin-api` was revoked after the token was issued.
    #[error("a secret of the client was revoked after the token was issued")]
    SecretEnded,
    /// The token, its family or its key was revoked.
    #[error("the {0} was revoked")]
    Revoked(&'static str),
}

fn describe(right: &Right) -> String {
    match right {
        Right::Entitlement => "the client's entitlement to this API".to_owned(),
        Right::Grant(grant) => format!("the grant {grant}"),
        Right::Scope(scope) => format!("the scope {scope}"),
    }
}

/// The current objects that a token refers to.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The client in its `client_id`.
    pub client: Option<&'a Client>,
    /// The user in its `sub`. Ignored for a token without a user.
    pub user: Option<&'a User>,
    /// The API in its `aud`.
    pub api: Option<&'a Api>,
}

/// Checks a verified token of this server against its current client, user and API, and against the revocations.
pub fn check_alive(claims: &Claims, known: Known<'_>, is_revoked: impl Fn(&Revoked) -> bool) -> Result<(), Ended> {
    let revision = claims.revision.as_ref().ok_or(Ended::NoRevision)?;
    let client = check_client(revision, known.client)?;
    if revision.has_user() {
        check_user(revision, known.user)?;
    }
    let api = check_api(revision, known.api)?;
    if let Some(right) = find_removed(client, api, revision.issued_change, revision.grant(), &claims.scope) {
        return Err(Ended::RightRemoved(right.clone()));
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

fn check_client<'a>(revision: &Revision, client: Option<&'a Client>) -> Result<&'a Client, Ended> {
    match client {
        None => Err(Ended::ClientGone),
        Some(client) if client.status == Status::Disabled => Err(Ended::ClientDisabled),
        Some(client) if revision.issued_change < client.epoch => Err(Ended::ClientEpoch),
        Some(client) => Ok(client),
    }
}

fn check_user(revision: &Revision, user: Option<&User>) -> Result<(), Ended> {
    match user {
        None => Err(Ended::UserGone),
        Some(user) if user.status == Status::Disabled => Err(Ended::UserDisabled),
        Some(user) if revision.user_change < user.epoch => Err(Ended::UserEpoch),
        Some(_) => Ok(()),
    }
}

fn check_api<'a>(revision: &Revision, api: Option<&'a Api>) -> Result<&'a Api, Ended> {
    match api {
        None => Err(Ended::ApiGone),
        Some(api) if revision.issued_change < api.epoch => Err(Ended::ApiEpoch),
        Some(api) => Ok(api),
    }
}
