//! Removals: rights taken from a client or an API. A removal ends the tokens that use the right and were issued earlier.

use crate::api::{Api, ApiId};
use crate::client::Client;
use crate::grant::GrantType;
use crate::scope::Scope;
use crate::scope_token::ScopeToken;

/// A right to an API that was taken away, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The API.
    pub api_id: ApiId,
    /// What was taken away.
    pub right: Right,
    /// The number of the change that removed it. Tokens issued earlier lose the right for good, even if it is granted again.
    pub change: i64,
}

/// A right that a token or a refresh family may use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// To ask for tokens of the API at all.
    Entitlement,
    /// To ask by this grant.
    Grant(GrantType),
    /// To ask for this scope.
    Scope(ScopeToken),
}

impl Right {
    /// The stored word and name.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Entitlement => ("entitlement", ""),
            Self::Grant(grant) => ("grant", grant.as_str()),
            Self::Scope(scope) => ("scope", scope.as_str()),
        }
    }

    /// From the stored word and name.
    pub fn from_parts(kind: &str, name: &str) -> Option<Self> {
        match kind {
            "entitlement" => name.is_empty().then_some(Self::Entitlement),
            "grant" => GrantType::parse(name).ok().map(Self::Grant),
            "scope" => ScopeToken::parse(name).map(Self::Scope),
            _ => None,
        }
    }
}

/// The rights to the API that were taken from the client, or from the API itself, after a change.
pub fn removed_since<'r>(client: &'r Client, api: &'r Api, change: i64) -> impl Iterator<Item = &'r Right> {
    let removals = client.removals.iter().chain(&api.removals);
    removals.filter(move |removal| removal.change > change && removal.api_id == api.id).map(|removal| &removal.right)
}

/// The first right that a token uses and that was removed after the change under which it was issued.
pub fn find_removed<'r>(
    client: &'r Client,
    api: &'r Api,
    issued_change: i64,
    grant: GrantType,
    scope: &Scope,
) -> Option<&'r Right> {
    removed_since(client, api, issued_change).find(|right| match right {
        Right::Entitlement => true,
        Right::Grant(removed) => *removed == grant,
        Right::Scope(removed) => scope.contains(removed),
    })
}
