//! Whether a client or a user may act.

use strum::{EnumString, IntoStaticStr};

/// Whether a client or user may do anything at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// It may.
    Active,
    /// It may not. All that was issued to it has ended.
    Disabled,
}

impl Status {
    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The status of that word.
    pub fn parse(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}
