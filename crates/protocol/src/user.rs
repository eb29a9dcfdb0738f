//! A user: a person who owns resources and signs in.

use std::fmt;

use strum::{EnumString, IntoStaticStr};

use crate::ids::UserId;
use crate::status::Status;

/// The longest login name, in bytes.
pub const MAX_LOGIN_BYTES: usize = 100;

/// A login name as its owner writes it: printable, without space at either end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login(String);

impl Login {
    /// Parses a login name; `None` if it is empty, too long, padded or has a control character.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=MAX_LOGIN_BYTES).contains(&text.len());
        (fits && text.trim() == text && !text.chars().any(char::is_control)).then(|| Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The one spelling under which a client id or login name is unique and its failures are counted.
pub fn name_key(name: &str) -> String {
    name.to_lowercase()
}

/// What a user may do beside owning resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Changes settings and the registry.
    Administrator,
}

impl Role {
    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The role of that word.
    pub fn parse(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}

/// A user as the registry knows them; the password hash stays in the store.
#[derive(Clone, Debug)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// The name they sign in with.
    pub login: Login,
    /// What else they may do.
    pub roles: Vec<Role>,
    /// Whether they may do anything.
    pub status: Status,
    /// Whether signing in takes more than a password.
    pub has_second_factor: bool,
    /// Tokens issued before this change are refused.
    pub epoch: i64,
}
