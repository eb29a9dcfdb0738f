//! Grant types (RFC 6749 §1.3), and sets of them. CONTRIBUTING.md says what a new one needs.

use std::fmt;

use strum::{EnumCount, EnumString, IntoStaticStr};

use crate::refusal::Refusal;

/// A grant type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumCount, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum GrantType {
    /// RFC 6749 §4.4: the client for itself.
    ClientCredentials,
    /// RFC 6749 §4.3: a user's name and password. Deprecated (RFC 9700 §2.4).
    Password,
    /// RFC 6749 §6: another token, with a refresh token.
    RefreshToken,
}

impl GrantType {
    /// All supported grant types.
    pub const ALL: [Self; Self::COUNT] = [Self::ClientCredentials, Self::Password, Self::RefreshToken];

    /// Returns its name in `grant_type`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the grant type with this name.
    pub fn parse(name: &str) -> Result<Self, Refusal> {
        name.parse().map_err(|_| Refusal::UnknownGrantType)
    }
}

impl fmt::Display for GrantType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of grant types, in one byte. A list would be in another place in memory, which is slow with many clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrantTypes(u8);

impl GrantTypes {
    /// True if it contains the grant type.
    pub fn contains(self, grant: GrantType) -> bool {
        self.0 & 1 << grant as u8 != 0
    }

    /// Returns the grant types, in the order of [`GrantType::ALL`].
    pub fn iter(self) -> impl Iterator<Item = GrantType> {
        GrantType::ALL.into_iter().filter(move |grant| self.contains(*grant))
    }
}

impl FromIterator<GrantType> for GrantTypes {
    fn from_iter<I: IntoIterator<Item = GrantType>>(grants: I) -> Self {
        Self(grants.into_iter().fold(0, |set, grant| set | 1 << grant as u8))
    }
}
