//! An API: a protected resource with its scopes and the rules for its tokens (RFC 8707, RFC 9728).

use crate::audience::Audience;
use crate::grant_type::{GrantType, GrantTypes};
use crate::ids::ApiId;
use crate::jose::algorithm::Algorithm;
use crate::path_rule::{NormalPath, PathRule};
use crate::right::Removal;
use crate::scope::Scope;
use crate::scope_token::ScopeToken;

/// A scope of an API: its name, its description, and the requests that it allows.
#[derive(Clone, Debug)]
pub struct ScopeDefinition {
    /// The name in tokens.
    pub token: ScopeToken,
    /// The description, for people.
    pub description: String,
    /// The requests that it allows. Without rules, it allows none.
    pub rules: Vec<PathRule>,
    /// Whether it is granted when a request names no scope.
    pub is_default: bool,
}

/// The lifetimes of an API's refresh tokens, and how long a use can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// A refresh token expires if it is not used for this long, in seconds.
    pub idle_s: i64,
    /// A family ends this long after its first token, however often it is used, in seconds.
    pub absolute_s: i64,
    /// For this long after its first use, in seconds, a refresh token returns the same successor again, in case a
    /// response was lost. 0 disables this.
    pub retry_s: i64,
}

impl Default for RefreshPolicy {
    /// Idle 7 days, absolute 30 days, retry 30 seconds.
    fn default() -> Self {
        Self { idle_s: 7 * 86_400, absolute_s: 30 * 86_400, retry_s: 30 }
    }
}

/// A protected resource.
#[derive(Clone, Debug)]
pub struct Api {
    /// Its ID, the `{api}` of tenant-style paths.
    pub id: ApiId,
    /// The `aud` of its tokens.
    pub audience: Audience,
    /// Its display name.
    pub name: String,
    /// The scopes that it defines.
    pub scopes: Vec<ScopeDefinition>,
    /// The grants that it allows.
    pub grants: GrantTypes,
    /// The lifetime of its access tokens, in seconds.
    pub access_token_lifetime_s: i64,
    /// The signing algorithm of its access tokens.
    pub algorithm: Algorithm,
    /// The lifetimes of its refresh tokens.
    pub refresh: RefreshPolicy,
    /// Tokens that were issued before this change are refused. It is the change that created the API or changed its
    /// audience.
    pub epoch: i64,
    /// Scopes and grants that were removed from the API, even if they were added again.
    pub removals: Box<[Removal]>,
}

impl Api {
    /// Returns the definition of a scope.
    pub fn find_scope(&self, token: &ScopeToken) -> Option<&ScopeDefinition> {
        self.scopes.iter().find(|scope| scope.token == *token)
    }

    /// Returns the scopes that allow this method on this path, each with the matching rule.
    pub fn find_opening<'a>(
        &'a self,
        method: &'a str,
        path: &'a NormalPath,
    ) -> impl Iterator<Item = (&'a ScopeDefinition, &'a PathRule)> {
        let opens = move |scope: &'a ScopeDefinition| scope.rules.iter().find(|rule| rule.allows(method, path));
        self.scopes.iter().filter_map(move |scope| Some((scope, opens(scope)?)))
    }

    /// Returns all scopes that it defines.
    pub fn all_scopes(&self) -> Scope {
        self.scopes.iter().map(|scope| scope.token.clone()).collect()
    }

    /// True if it allows this grant.
    pub fn allows(&self, grant: GrantType) -> bool {
        self.grants.contains(grant)
    }
}
