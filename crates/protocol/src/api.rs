//! An Api: a protected resource with its scopes and the rules for its tokens (RFC 8707, RFC 9728).

use std::fmt;

use url::Url;

use crate::grant_type::{GrantType, GrantTypes};
use crate::ids::ApiId;
use crate::jose::algorithm::Algorithm;
use crate::path_rule::{NormalPath, PathRule};
use crate::right::Removal;
use crate::scope::Scope;
use crate::scope_token::ScopeToken;

/// An Api's audience: an absolute URI without fragment (RFC 8707 §2), kept exactly as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Audience(String);

impl Audience {
    /// Parses an absolute URI; `None` if it is relative or has a fragment.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let clean = text.bytes().all(|byte| byte.is_ascii_graphic());
        (clean && url.fragment().is_none()).then(|| Self(text.to_owned()))
    }

    /// The URI as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One scope of an Api: its name, what it is for, and the requests it opens.
#[derive(Clone, Debug)]
pub struct ScopeDefinition {
    /// The name that a token carries.
    pub token: ScopeToken,
    /// What it allows, for people.
    pub description: String,
    /// The requests it opens; none means none.
    pub rules: Vec<PathRule>,
    /// Whether it is granted when a request names no scope.
    pub is_default: bool,
}

/// How long refresh tokens of an Api live, and how long a use may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// Unused for longer than this, a refresh token ends, in seconds.
    pub idle_s: i64,
    /// A family ends this long after its first token, however often it is used, in seconds.
    pub absolute_s: i64,
    /// For so long after its use, in seconds, a refresh token gives the same successor again; 0 if never. An answer that was
    /// lost can be asked for again.
    pub retry_s: i64,
}

impl Default for RefreshPolicy {
    /// Idle 7 days, absolute 30 days, repeated within 30 seconds.
    fn default() -> Self {
        Self { idle_s: 7 * 86_400, absolute_s: 30 * 86_400, retry_s: 30 }
    }
}

/// A protected resource.
#[derive(Clone, Debug)]
pub struct Api {
    /// Its id, the `{api}` of tenant-style paths.
    pub id: ApiId,
    /// The `aud` of its tokens.
    pub audience: Audience,
    /// Its name, for people.
    pub name: String,
    /// The scopes it defines.
    pub scopes: Vec<ScopeDefinition>,
    /// The grants by which its tokens may be asked.
    pub grants: GrantTypes,
    /// How long its access tokens live, in seconds.
    pub access_token_lifetime_s: i64,
    /// How its access tokens are signed.
    pub algorithm: Algorithm,
    /// How long its refresh tokens live.
    pub refresh: RefreshPolicy,
    /// Tokens issued before this change are refused: the change that made the API or gave it another audience.
    pub epoch: i64,
    /// Scopes and grants that the API itself no longer has, or did not have for a while.
    pub removals: Box<[Removal]>,
}

impl Api {
    /// The definition of one scope.
    pub fn find_scope(&self, token: &ScopeToken) -> Option<&ScopeDefinition> {
        self.scopes.iter().find(|scope| scope.token == *token)
    }

    /// The scopes that open this method on this path, each with the rule that does.
    pub fn find_opening<'a>(
        &'a self,
        method: &'a str,
        path: &'a NormalPath,
    ) -> impl Iterator<Item = (&'a ScopeDefinition, &'a PathRule)> {
        let opens = move |scope: &'a ScopeDefinition| scope.rules.iter().find(|rule| rule.allows(method, path));
        self.scopes.iter().filter_map(move |scope| Some((scope, opens(scope)?)))
    }

    /// All scopes it defines.
    pub fn all_scopes(&self) -> Scope {
        self.scopes.iter().map(|scope| scope.token.clone()).collect()
    }

    /// True if its tokens may be asked by this grant.
    pub fn allows(&self, grant: GrantType) -> bool {
        self.grants.contains(grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_is_an_absolute_uri_without_fragment() {
        for good in ["https://billing.example", "urn:example:billing", "http://127.0.0.1:8080/resource"] {
            assert!(Audience::parse(good).is_some(), "{good}");
        }
        for bad in ["", "billing", "/billing", "https://billing.example/#x", "https://b.example/ x"] {
            assert!(Audience::parse(bad).is_none(), "{bad}");
        }
    }
}
