//! Entries of the registry: APIs, clients and users.

use countersign_protocol::UnixTime;

/// The kind of an entry.
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
    /// Every kind, after those that it refers to.
    pub const ALL: [Self; 3] = [Self::Api, Self::Client, Self::User];

    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Api => "apis",
            Self::Client => "clients",
            Self::User => "users",
        }
    }
}

/// A stored API, client or user, with data that tokens do not need.
#[derive(Clone, Debug)]
pub struct Stored<T> {
    /// The entry.
    pub value: T,
    /// Its metadata for administrators.
    pub note: Note,
    /// The last change of it.
    pub last_change: i64,
}

/// An entry's creation and owner.
#[derive(Clone, Debug, Default)]
pub struct Note {
    /// The change that created it, which is the order of lists.
    pub created_change: i64,
    /// When it was created. 0 if it is older than this column.
    pub created_at: UnixTime,
    /// Its contact. May be empty.
    pub owner: String,
}

/// The last columns of every entry's listing: created by which change, when, owner, last change.
pub(crate) type Beside = (i64, UnixTime, String, i64);

impl<T> Stored<T> {
    pub(crate) fn new(value: T, (created_change, created_at, owner, last_change): Beside) -> Self {
        Self { value, note: Note { created_change, created_at, owner }, last_change }
    }
}

/// A range of IDs, both ends included, in the database's order.
#[derive(Clone, Debug)]
pub struct Ids {
    pub(crate) first: String,
    pub(crate) last: String,
}

impl Ids {
    /// A range of one ID.
    pub fn one(id: String) -> Self {
        Self { first: id.clone(), last: id }
    }

    /// The last ID.
    pub fn last(&self) -> &str {
        &self.last
    }
}
