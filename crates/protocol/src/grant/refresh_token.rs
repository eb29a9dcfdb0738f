//! `refresh_token`: requests another token without the user (RFC 6749 §6). Everything is decided again.

use crate::UnixTime;
use crate::api::Api;
use crate::client::{Client, Entitlement};
use crate::grant::password::check_user;
use crate::grant::{Grant, check_allowed};
use crate::grant_type::GrantType;
use crate::refresh_token::{RefreshFamily, StoredRefreshToken};
use crate::refusal::Refusal;
use crate::removal::removed_since;
use crate::right::Right;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::token_request::TokenRequest;
use crate::user::User;

/// The parameter of this grant: `refresh_token`.
pub fn parameters(request: &TokenRequest) -> Result<&Secret, Refusal> {
    request.refresh_token.as_ref().ok_or(Refusal::MissingParameter("refresh_token"))
}

/// Another client's token is treated like an unknown one. The response reveals nothing more, and the token does not
/// change.
pub fn check_owner(found: &StoredRefreshToken, client: &Client) -> Result<(), Refusal> {
    if found.family.client_id == client.id { Ok(()) } else { Err(Refusal::ForeignRefreshToken) }
}

/// Fails if the token was already used and this use does not repeat that one. A use can be repeated within the
/// `refresh_retry_s` of the token's API, while the successor is unused.
///
/// The caller then revokes the family, whatever else the request contains, because the token may have been stolen (RFC
/// 9700 §4.14.2). A family that has already ended is not an error here.
pub fn check_reuse(found: &StoredRefreshToken, api: Option<&Api>, now: UnixTime) -> Result<(), Refusal> {
    let Some(spent_at) = found.spent_at else { return Ok(()) };
    if found.family.ended {
        return Ok(());
    }
    let may_repeat = |api: &Api| now < spent_at + api.refresh.retry_s;
    match &found.retry {
        Some(retry) if now < retry.until && api.is_some_and(may_repeat) => Ok(()),
        _ => Err(Refusal::RefreshTokenReused(found.family.id.to_string())),
    }
}

/// Decides what to grant, based on the current grant, entitlement and user: never more than the original grant, and
/// nothing that was removed since, even if it was granted again.
///
/// The caller has already checked the owner, and that this is not a reuse.
pub fn decide(
    found: &StoredRefreshToken,
    client: &Client,
    user: Option<&User>,
    api: &Api,
    asked: Option<&str>,
    now: UnixTime,
) -> Result<Grant, Refusal> {
    let family = &found.family;
    check_allowed(client, api, GrantType::Password)?;
    let entitlement = check_allowed(client, api, GrantType::RefreshToken)?;
    let left = find_left(family, client, api)?;
    let scope = decide_scope(&left, entitlement, asked)?;
    check_alive(found, now)?;
    let user = user.ok_or(Refusal::UnknownUser)?;
    check_epochs(family, client, user, api)?;
    Ok(Grant { scope, subject: check_user(user)?, auth_time: family.auth_time, family: Some(family.id.clone()) })
}

/// Checks that the family has not ended and that the token was used in time. A repeated use was in time if the first
/// one was.
fn check_alive(found: &StoredRefreshToken, now: UnixTime) -> Result<(), Refusal> {
    if found.family.ended {
        return Err(Refusal::RevokedRefreshToken);
    }
    let is_late = found.spent_at.is_none() && now >= found.expires_at;
    if is_late || now >= found.family.expires_at { Err(Refusal::ExpiredRefreshToken) } else { Ok(()) }
}

/// Checks that the family was issued after the last revocation of the tokens of its client, user and API.
fn check_epochs(family: &RefreshFamily, client: &Client, user: &User, api: &Api) -> Result<(), Refusal> {
    let is_ended =
        client.epoch > family.issued_change || api.epoch > family.issued_change || user.epoch > family.user_change;
    if is_ended { Err(Refusal::RevokedRefreshToken) } else { Ok(()) }
}

/// Returns what remains of the original scope. Removing the grant or the entitlement ends the family.
fn find_left(family: &RefreshFamily, client: &Client, api: &Api) -> Result<Scope, Refusal> {
    let mut left = family.scope.clone();
    for right in removed_since(client, api, family.issued_change) {
        match right {
            Right::Entitlement | Right::Grant(GrantType::Password | GrantType::RefreshToken) => {
                return Err(Refusal::RevokedRefreshToken);
            }
            Right::Grant(GrantType::ClientCredentials) => {}
            Right::Scope(removed) => left = left.without(removed),
        }
    }
    Ok(left)
}

/// Returns the remaining scopes that the client is entitled to. Refuses a request for more. A family without remaining
/// scopes has ended, so that its client asks the user to sign in again.
fn decide_scope(left: &Scope, entitlement: &Entitlement, asked: Option<&str>) -> Result<Scope, Refusal> {
    let granted = left.intersection(&entitlement.scopes);
    if granted.is_empty() {
        return Err(Refusal::RevokedRefreshToken);
    }
    let Some(asked) = asked else { return Ok(granted) };
    let asked = Scope::parse(asked)?;
    if let Some(token) = asked.first_missing_in(left) {
        return Err(Refusal::ScopeWidened(token.clone()));
    }
    match asked.first_missing_in(&entitlement.scopes) {
        Some(token) => Err(Refusal::ScopeNotEntitled(token.clone())),
        None => Ok(asked),
    }
}
