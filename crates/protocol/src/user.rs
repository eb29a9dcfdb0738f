//! A user: a person who owns resources and signs in.

use std::fmt;

use strum::{EnumString, IntoStaticStr};

use crate::ids::UserId;
use crate::status::Status;

/// The maximum length of a login name, in bytes.
pub const MAX_LOGIN_BYTES: usize = 100;

/// A login name as its owner writes it: printable, without leading or trailing spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login(String);

impl Login {
    /// Parses a login name. Returns `None` if it is empty, too long, padded or has a control character.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=MAX_LOGIN_BYTES).contains(&text.len());
        (fits && text.trim() == text && !text.chars().any(char::is_control)).then(|| Self(text.to_owned()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the normalized form of a client_id or login name, for uniqueness and for counting failures.
pub fn name_key(name: &str) -> String {
    name.to_lowercase()
}

/// What a user may do in addition to owning resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// May change settings and the registry.
    Administrator,
}

impl Role {
    /// Returns the stored and displayed word.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Parses that word.
    pub fn parse(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}

/// A user in the registry. The password hash is only in the store.
#[derive(Clone, Debug)]
pub struct User {
    /// The ID.
    pub id: UserId,
    /// The login name.
    pub login: Login,
    /// The roles.
    pub roles: Vec<Role>,
    /// Whether the user is enabled.
    pub status: Status,
    /// Whether the user has a second factor.
    pub has_second_factor: bool,
    /// Tokens that were issued before this change are refused.
    pub epoch: i64,
}
