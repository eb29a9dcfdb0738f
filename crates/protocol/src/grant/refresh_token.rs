//! `refresh_token`: a token again, without the user (RFC 6749 §6). Everything is decided anew.

use crate::UnixTime;
use crate::api::Api;
use crate::client::{Client, Entitlement};
use crate::grant::password::check_user;
use crate::grant::{Grant, GrantType, check_allowed};
use crate::refresh_token::{RefreshFamily, StoredRefreshToken};
use crate::refusal::Refusal;
use crate::removal::{Right, removed_since};
use crate::scope::Scope;
use crate::secret::Secret;
use crate::token_request::TokenRequest;
use crate::user::User;

/// The parameter of this grant: `refresh_token`.
pub fn parameters(request: &TokenRequest) -> Result<&Secret, Refusal> {
    request.refresh_token.as_ref().ok_or(Refusal::MissingParameter("refresh_token"))
}

/// Another client's token is as good as unknown: nothing more is said of it, and nothing is done to it.
pub fn check_owner(found: &StoredRefreshToken, client: &Client) -> Result<(), Refusal> {
    if found.family.client_id == client.id { Ok(()) } else { Err(Refusal::ForeignRefreshToken) }
}

/// Decides what to grant now: the grant, the entitlement and the user as they are, never more than was granted first, and
/// nothing that was removed since then, even if it was granted again.
///
/// The caller has checked the owner, and ends the family on [`Refusal::RefreshTokenReused`].
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
    let scope = decide_scope(&family.scope, entitlement, asked)?;
    check_proof(found, now)?;
    let user = user.ok_or(Refusal::UnknownUser)?;
    check_epochs(family, client, user, api)?;
    let scope = keep_unremoved(family, client, api, scope, asked)?;
    Ok(Grant { scope, subject: check_user(user)?, auth_time: family.auth_time, family: Some(family.id.clone()) })
}

/// Whether the token still counts: its family, whether it was used before, its time.
fn check_proof(found: &StoredRefreshToken, now: UnixTime) -> Result<(), Refusal> {
    if found.family.ended {
        return Err(Refusal::RevokedRefreshToken);
    }
    if found.spent {
        return Err(Refusal::RefreshTokenReused(found.family.id.to_string()));
    }
    if now >= found.expires_at || now >= found.family.expires_at {
        return Err(Refusal::ExpiredRefreshToken);
    }
    Ok(())
}

/// Whether the family was issued after all that ended the tokens of its client, its user or its API.
fn check_epochs(family: &RefreshFamily, client: &Client, user: &User, api: &Api) -> Result<(), Refusal> {
    let is_ended =
        client.epoch > family.issued_change || api.epoch > family.issued_change || user.epoch > family.user_change;
    if is_ended { Err(Refusal::RevokedRefreshToken) } else { Ok(()) }
}

/// What was granted first and the client is still entitled to; a wider wish is refused.
fn decide_scope(first: &Scope, entitlement: &Entitlement, asked: Option<&str>) -> Result<Scope, Refusal> {
    let Some(asked) = asked else {
        let granted = first.intersection(&entitlement.scopes);
        return if granted.is_empty() { Err(Refusal::NoDefaultScope) } else { Ok(granted) };
    };
    let asked = Scope::parse(asked)?;
    if let Some(token) = asked.first_missing_in(first) {
        return Err(Refusal::ScopeWidened(token.clone()));
    }
    match asked.first_missing_in(&entitlement.scopes) {
        Some(token) => Err(Refusal::ScopeNotEntitled(token.clone())),
        None => Ok(asked),
    }
}

/// The scope without what was removed since the family was issued. A removed grant or entitlement ends the family.
fn keep_unremoved(
    family: &RefreshFamily,
    client: &Client,
    api: &Api,
    scope: Scope,
    asked: Option<&str>,
) -> Result<Scope, Refusal> {
    let mut kept = scope;
    for right in removed_since(client, api, family.issued_change) {
        match right {
            Right::Entitlement | Right::Grant(GrantType::Password | GrantType::RefreshToken) => {
                return Err(Refusal::RevokedRefreshToken);
            }
            Right::Grant(GrantType::ClientCredentials) => {}
            Right::Scope(removed) if !kept.contains(removed) => {}
            Right::Scope(removed) if asked.is_some() => return Err(Refusal::ScopeWidened(removed.clone())),
            Right::Scope(removed) => kept = kept.without(removed),
        }
    }
    if kept.is_empty() { Err(Refusal::RevokedRefreshToken) } else { Ok(kept) }
}
