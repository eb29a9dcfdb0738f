//! A database failure, attached to a response for the place that counts it.

use countersign_protocol::refusal::DatabaseTrouble;

/// A database failure that is not counted yet.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// The kind of failure.
    pub(crate) kind: DatabaseTrouble,
    /// The reason, for the operator.
    pub(crate) reason: String,
    /// True if the database aborted the change in favor of another transaction.
    pub(crate) is_conflict: bool,
}

impl Trouble {
    /// True if the database aborted the change in favor of another transaction, so that it can be repeated.
    pub(crate) fn is_conflict(&self) -> bool {
        self.is_conflict
    }
}
