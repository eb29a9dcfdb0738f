//! Refresh tokens: families that rotate at every use (RFC 6749 §6, RFC 9700 §4.14.2).

use std::fmt;

use crate::UnixTime;
use crate::api::RefreshPolicy;
use crate::ids::{ApiId, ClientId, FamilyId, UserId};
use crate::scope::Scope;

/// What all refresh tokens of a family share.
#[derive(Clone, Debug)]
pub struct RefreshFamily {
    /// Its ID.
    pub id: FamilyId,
    /// The client that it is bound to.
    pub client_id: ClientId,
    /// The user that it represents.
    pub user_id: UserId,
    /// The API that it is bound to.
    pub api_id: ApiId,
    /// The originally granted scopes. A refresh never grants more.
    pub scope: Scope,
    /// When the user authenticated.
    pub auth_time: UnixTime,
    /// The registry's change when the family was issued. Families from before version 6 of the database have the epoch
    /// of their client here, which is not later.
    pub issued_change: i64,
    /// The same for the user. Families from before version 6 have the epoch of their user.
    pub user_change: i64,
    /// When the family ends, however often it is used.
    pub expires_at: UnixTime,
    /// Whether it was revoked, or one of its tokens was reused.
    pub ended: bool,
}

/// A stored refresh token.
#[derive(Clone, Debug)]
pub struct StoredRefreshToken {
    /// Its family.
    pub family: RefreshFamily,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// When it expires if it is not used.
    pub expires_at: UnixTime,
    /// When it was used.
    pub spent_at: Option<UnixTime>,
    /// What a repeated use needs. `None` if the token was not used, if its successor was, or if the retry time has
    /// passed.
    pub retry: Option<Retry>,
}

/// The salt of the successor. It is erased when the successor is used or the retry time has passed.
#[derive(Clone, PartialEq, Eq)]
pub struct Retry {
    /// The salt. The successor is derived from it, the token itself, and a key of the server.
    pub salt: [u8; 32],
    /// When the retry time ends. It is set at the first use and never changes.
    pub until: UnixTime,
}

/// Does not show the salt.
impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("until", &self.until).finish_non_exhaustive()
    }
}

/// Returns when a refresh token issued now expires if it is not used: after the idle time, but not after its family
/// ends.
pub fn idle_expiry(policy: RefreshPolicy, family_expires_at: UnixTime, now: UnixTime) -> UnixTime {
    (now + policy.idle_s).min(family_expires_at)
}
