//! What the database could not do, carried by an answer to where it is counted.

use countersign_protocol::refusal::DatabaseTrouble;

/// What the database could not do, which was not counted yet: an answer carries it to where that is done.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// What.
    pub(crate) kind: DatabaseTrouble,
    /// Why, for the operator.
    pub(crate) reason: String,
    /// True if the change gave way to another transaction before it was committed.
    pub(crate) is_conflict: bool,
}

impl Trouble {
    /// True if the change gave way to another transaction before it was committed, and can be made again.
    pub(crate) fn is_conflict(&self) -> bool {
        self.is_conflict
    }
}
