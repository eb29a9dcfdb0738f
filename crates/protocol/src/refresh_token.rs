//! Refresh tokens: families that rotate at every use (RFC 6749 §6, RFC 9700 §4.14.2).

use std::fmt;

use crate::UnixTime;
use crate::api::RefreshPolicy;
use crate::ids::{ApiId, ClientId, FamilyId, UserId};
use crate::scope::Scope;

/// What all refresh tokens of a family share.
#[derive(Clone, Debug)]
pub struct RefreshFamily {
    /// Its id.
    pub id: FamilyId,
    /// The client it is bound to.
    pub client_id: ClientId,
    /// The user it speaks for.
    pub user_id: UserId,
    /// The Api it is bound to.
    pub api_id: ApiId,
    /// The scopes granted first; no refresh has more.
    pub scope: Scope,
    /// When the user proved who they are.
    pub auth_time: UnixTime,
    /// The registry's change when the family was issued. A family from before version 6 of the database has its client's
    /// epoch here, which is not later.
    pub issued_change: i64,
    /// The same for the user; a family from before version 6 has the user's epoch.
    pub user_change: i64,
    /// The family ends here, however often it is used.
    pub expires_at: UnixTime,
    /// It was revoked, or one of its tokens was used twice.
    pub ended: bool,
}

/// One stored refresh token.
#[derive(Clone, Debug)]
pub struct StoredRefreshToken {
    /// Its family.
    pub family: RefreshFamily,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// Unused until here, it ends.
    pub expires_at: UnixTime,
    /// When it was used.
    pub spent_at: Option<UnixTime>,
    /// What a repeated use needs; `None` if the token was not used, if its successor was, or if the time has passed.
    pub retry: Option<Retry>,
}

/// What makes the same successor again. It is erased when the successor is used or the time has passed.
#[derive(Clone, PartialEq, Eq)]
pub struct Retry {
    /// From which, with the token itself and a key of the server, the successor is derived.
    pub salt: [u8; 32],
    /// The end of the time in which a use may be repeated. It was set at the first use and does not move.
    pub until: UnixTime,
}

/// Without the salt.
impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("until", &self.until).finish_non_exhaustive()
    }
}

/// When a refresh token issued now ends if it is not used: after the idle time, never after its family.
pub fn idle_expiry(policy: RefreshPolicy, family_expires_at: UnixTime, now: UnixTime) -> UnixTime {
    (now + policy.idle_s).min(family_expires_at)
}
