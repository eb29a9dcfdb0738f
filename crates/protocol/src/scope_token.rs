//! The name of one scope (RFC 6749 §3.3 `scope-token`).

use std::fmt;
use std::sync::Arc;

/// The maximum length of a scope name, in bytes.
pub const MAX_SCOPE_TOKEN_BYTES: usize = 200;

/// A scope name: printable ASCII without space, `"` and `\` (RFC 6749 §3.3 `scope-token`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeToken(Arc<str>);

impl ScopeToken {
    /// Parses a name. Returns `None` if it is empty, too long, or has an invalid character.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        let fits = !text.is_empty() && text.len() <= MAX_SCOPE_TOKEN_BYTES;
        (fits && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScopeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
