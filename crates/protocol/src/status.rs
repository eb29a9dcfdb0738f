//! Whether a client or a user is enabled.

use strum::{EnumString, IntoStaticStr};

/// Whether a client or user is enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// Enabled.
    Active,
    /// Disabled. Everything issued to it is revoked.
    Disabled,
}

impl Status {
    /// Returns the stored and displayed word.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Parses that word.
    pub fn parse(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}
