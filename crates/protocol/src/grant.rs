//! Grants: by what right a token is issued (RFC 6749 §1.3). One file each beside this one.

pub mod client_credentials;
pub mod password;
pub mod refresh_token;

use std::fmt;

use crate::UnixTime;
use crate::api::{Api, ScopeDefinition};
use crate::client::{Client, ClientId, Entitlement};
use crate::refresh_token::FamilyId;
use crate::refusal::Refusal;
use crate::scope::Scope;
use crate::user::{Login, UserId};

/// A grant type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantType {
    /// RFC 6749 §4.4: the client for itself.
    ClientCredentials,
    /// RFC 6749 §4.3: a user's name and password; deprecated (RFC 9700 §2.4).
    Password,
    /// RFC 6749 §6: a token again, from a refresh token.
    RefreshToken,
}

impl GrantType {
    /// Every grant type that works here.
    pub const ALL: [Self; 3] = [Self::ClientCredentials, Self::Password, Self::RefreshToken];

    /// Its name in `grant_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
            Self::RefreshToken => "refresh_token",
        }
    }

    /// The grant type of a name.
    pub fn parse(name: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == name).ok_or(Refusal::UnknownGrantType)
    }
}

/// A set of grant types, in one byte: many clients are looked at, and a list of each would lie elsewhere in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrantTypes(u8);

impl GrantTypes {
    /// True if it holds the grant type.
    pub fn contains(self, grant: GrantType) -> bool {
        self.0 & 1 << grant as u8 != 0
    }

    /// The grant types, in the order of [`GrantType::ALL`].
    pub fn iter(self) -> impl Iterator<Item = GrantType> {
        GrantType::ALL.into_iter().filter(move |grant| self.contains(*grant))
    }
}

impl FromIterator<GrantType> for GrantTypes {
    fn from_iter<I: IntoIterator<Item = GrantType>>(grants: I) -> Self {
        Self(grants.into_iter().fold(0, |set, grant| set | 1 << grant as u8))
    }
}

impl fmt::Display for GrantType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// For whom a token speaks.
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

/// What was decided: everything in a token that does not come from the clock or from chance.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The scopes granted.
    pub scope: Scope,
    /// For whom the token speaks.
    pub subject: Subject,
    /// When the subject last proved who it is.
    pub auth_time: UnixTime,
    /// The family of refresh tokens that the token belongs to.
    pub family: Option<FamilyId>,
}

/// What the client may ask of the Api, if both allow the grant type.
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

/// The scopes to grant: those asked for, all of them or none; or the Api's defaults that the client is entitled to.
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
