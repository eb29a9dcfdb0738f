//! A right to an API, and its removal.

use crate::grant_type::GrantType;
use crate::ids::ApiId;
use crate::scope_token::ScopeToken;

/// A right that a token or a refresh family may use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// To request tokens of the API at all.
    Entitlement,
    /// To use this grant.
    Grant(GrantType),
    /// To request this scope.
    Scope(ScopeToken),
}

impl Right {
    /// Returns the stored word and name.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Entitlement => ("entitlement", ""),
            Self::Grant(grant) => ("grant", grant.as_str()),
            Self::Scope(scope) => ("scope", scope.as_str()),
        }
    }

    /// Parses the stored word and name.
    pub fn from_parts(kind: &str, name: &str) -> Option<Self> {
        match kind {
            "entitlement" => name.is_empty().then_some(Self::Entitlement),
            "grant" => GrantType::parse(name).ok().map(Self::Grant),
            "scope" => ScopeToken::parse(name).map(Self::Scope),
            _ => None,
        }
    }
}

/// A right to an API that was removed, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The API.
    pub api_id: ApiId,
    /// The removed right.
    pub right: Right,
    /// The number of the change that removed it. Tokens issued earlier lose the right permanently, even if it is
    /// granted again.
    pub change: i64,
}
