//! Grants (RFC 6749 §1.3). Each has its own file next to this one.

pub mod client_credentials;
pub mod password;
pub mod refresh_token;

use crate::UnixTime;
use crate::api::{Api, ScopeDefinition};
use crate::client::{Client, Entitlement};
use crate::grant_type::GrantType;
use crate::ids::{ClientId, FamilyId, UserId};
use crate::refusal::Refusal;
use crate::scope::Scope;
use crate::user::Login;

/// The subject of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The client itself.
    Client(ClientId),
    /// A user.
    User {
        /// The `sub`.
        id: UserId,
        /// The `unique_name`.
        login: Login,
    },
}

/// The decision: everything in a token that does not depend on the clock or on chance.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The granted scopes.
    pub scope: Scope,
    /// The subject.
    pub subject: Subject,
    /// When the subject last authenticated.
    pub auth_time: UnixTime,
    /// The family of refresh tokens that the token belongs to.
    pub family: Option<FamilyId>,
}

/// Returns the client's entitlement to the API, if both allow the grant type.
pub fn check_allowed<'c>(client: &'c Client, api: &Api, grant: GrantType) -> Result<&'c Entitlement, Refusal> {
    let entitlement = client.find_entitlement(&api.id).ok_or(Refusal::NoEntitlement)?;
    if !api.allows(grant) {
        return Err(Refusal::GrantNotAllowedByApi);
    }
    if !entitlement.grants.contains(grant) {
        return Err(Refusal::GrantNotAllowedToClient);
    }
    Ok(entitlement)
}

/// Returns the scopes to grant: either all requested ones or, if the request names none, the API's default scopes that
/// the client is entitled to.
pub fn decide_scope(api: &Api, entitlement: &Entitlement, asked: Option<&str>) -> Result<Scope, Refusal> {
    let Some(asked) = asked else {
        let granted = |scope: &&ScopeDefinition| scope.is_default && entitlement.scopes.contains(&scope.token);
        let granted: Scope = api.scopes.iter().filter(granted).map(|scope| scope.token.clone()).collect();
        return if granted.is_empty() { Err(Refusal::NoDefaultScope) } else { Ok(granted) };
    };
    let asked = Scope::parse(asked)?;
    for token in asked.iter() {
        if api.find_scope(token).is_none() {
            return Err(Refusal::UnknownScope(token.clone()));
        }
        if !entitlement.scopes.contains(token) {
            return Err(Refusal::ScopeNotEntitled(token.clone()));
        }
    }
    Ok(asked)
}
