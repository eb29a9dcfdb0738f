//! A database failure, attached to a response for the place that counts it.

use countersign_protocol::refusal::DatabaseTrouble;

/// A database failure that is not counted yet, attached to a response for the place that does.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// The kind of failure.
    pub(crate) kind: DatabaseTrouble,
    /// The reason, for the operator.
    pub(crate) reason: String,
    /// True if the change gave way to another transaction before it was committed.
    pub(crate) is_conflict: bool,
}

impl Trouble {
    /// True if the change gave way to another transaction before it was committed, and can be repeated.
    pub(crate) fn is_conflict(&self) -> bool {
        self.is_conflict
    }
}
