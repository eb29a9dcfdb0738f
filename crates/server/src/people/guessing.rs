//! Guessing: what has failed is counted, so that nobody can try for long and nobody is shut out by what others try.

use crate::oauth::failed_secrets::FailedSecrets;
use crate::people::attempts_under_way::UnderWay;

/// What a node knows of guesses; the rest is in the database.
#[derive(Debug, Default)]
pub(crate) struct Guessing {
    /// Wrong secrets of clients, on this node.
    pub clients: FailedSecrets,
    pub(super) under_way: UnderWay,
}
