//! An entry of the registry as it is stored: an API, a client or a user.

use countersign_protocol::UnixTime;

/// What an entry of the registry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// An API with its scopes.
    Api,
    /// A client with its credentials and entitlements.
    Client,
    /// A user.
    User,
}

impl EntryKind {
    /// Each kind, after those that it refers to.
    pub const ALL: [Self; 3] = [Self::Api, Self::Client, Self::User];

    /// Its table.
    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Api => "apis",
            Self::Client => "clients",
            Self::User => "users",
        }
    }
}

/// An API, a client or a user as it is stored, with what no token needs.
#[derive(Clone, Debug)]
pub struct Stored<T> {
    /// What it is.
    pub value: T,
    /// What administrators see of it beside.
    pub note: Note,
    /// The change that touched it last.
    pub last_change: i64,
}

/// Since when something is there, and whom to ask about it.
#[derive(Clone, Debug, Default)]
pub struct Note {
    /// The change that made it: the order of lists.
    pub created_change: i64,
    /// When it was made; 0 for what is older than the note.
    pub created_at: UnixTime,
    /// Whom to ask about it; empty where nobody is named.
    pub owner: String,
}

/// What every entry has beside itself, as the last columns of its listing: who made it, when, for whom, and who touched it last.
pub(crate) type Beside = (i64, UnixTime, String, i64);

impl<T> Stored<T> {
    pub(crate) fn new(value: T, (created_change, created_at, owner, last_change): Beside) -> Self {
        Self { value, note: Note { created_change, created_at, owner }, last_change }
    }
}

/// Ids from one to another, both included, in the order of the database.
#[derive(Clone, Debug)]
pub struct Ids {
    pub(crate) first: String,
    pub(crate) last: String,
}

impl Ids {
    /// One id.
    pub fn one(id: String) -> Self {
        Self { first: id.clone(), last: id }
    }

    /// The last of them.
    pub fn last(&self) -> &str {
        &self.last
    }
}
