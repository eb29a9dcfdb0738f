//! Sets of scope names (RFC 6749 §3.3).

use std::fmt;
use std::sync::Arc;

use crate::refusal::Refusal;
use crate::scope_token::ScopeToken;

/// The maximum number of scope names in a request. No client needs more, and each is looked up.
pub const MAX_SCOPE_TOKENS: usize = 100;

/// A set of scope names, sorted and without duplicates. It is displayed with single spaces. Clones share the names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope(Arc<[ScopeToken]>);

impl Scope {
    /// Parses a `scope` parameter: names separated by single spaces, in any order.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let mut tokens = Vec::new();
        for (index, name) in text.split(' ').enumerate() {
            if index == MAX_SCOPE_TOKENS {
                return Err(Refusal::TooManyScopes);
            }
            let token = ScopeToken::parse(name).ok_or_else(|| Refusal::MalformedScope(name.to_owned()))?;
            tokens.push(token);
        }
        Ok(tokens.into_iter().collect())
    }

    /// True if `other` contains every name of `self`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.first_missing_in(other).is_none()
    }

    /// Returns the names that both contain.
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.iter().filter(|token| other.contains(token)).cloned().collect())
    }

    /// Returns the names of `self` without this one.
    pub fn without(&self, removed: &ScopeToken) -> Self {
        Self(self.0.iter().filter(|token| *token != removed).cloned().collect())
    }

    /// Returns the first name of `self` that `other` lacks.
    pub fn first_missing_in(&self, other: &Self) -> Option<&ScopeToken> {
        self.0.iter().find(|token| !other.contains(token))
    }

    /// True if it contains the name.
    pub fn contains(&self, token: &ScopeToken) -> bool {
        self.0.binary_search(token).is_ok()
    }

    /// True if it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &ScopeToken> {
        self.0.iter()
    }
}

impl FromIterator<ScopeToken> for Scope {
    fn from_iter<I: IntoIterator<Item = ScopeToken>>(tokens: I) -> Self {
        let mut tokens: Vec<ScopeToken> = tokens.into_iter().collect();
        tokens.sort_unstable();
        tokens.dedup();
        Self(tokens.into())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, token) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(token.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope() -> impl Strategy<Value = Scope> {
        proptest::collection::btree_set("[a-e]", 0..5)
            .prop_map(|names| names.iter().filter_map(|name| ScopeToken::parse(name)).collect())
    }

    #[test]
    fn scopes_follow_the_grammar_of_rfc_6749() {
        for good in ["all", "reports:read", "a b", "b a a", "!#[]~"] {
            assert!(Scope::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", " ", "a  b", " a", "a ", "a\tb", "a\"b", "a\\b", "é", "a\u{7f}"] {
            assert!(matches!(Scope::parse(bad), Err(Refusal::MalformedScope(_))), "{bad:?}");
        }
        assert_eq!(Scope::parse("b a a").expect("parses").to_string(), "a b");
        assert!(Scope::parse(&vec!["a"; MAX_SCOPE_TOKENS].join(" ")).is_ok());
        assert!(Scope::parse(&vec!["a"; MAX_SCOPE_TOKENS + 1].join(" ")).is_err());
    }

    proptest! {
        #[test]
        fn a_printed_scope_parses(scope in scope()) {
            prop_assume!(!scope.is_empty());
            prop_assert_eq!(Scope::parse(&scope.to_string()), Ok(scope));
        }

        #[test]
        fn an_intersection_contains_exactly_what_is_in_both(a in scope(), b in scope(), c in scope()) {
            let both = a.intersection(&b);
            prop_assert!(both.is_subset(&a) && both.is_subset(&b));
            prop_assert_eq!(c.is_subset(&both), c.is_subset(&a) && c.is_subset(&b));
            prop_assert_eq!(a.is_subset(&b), a.first_missing_in(&b).is_none());
        }
    }
}
