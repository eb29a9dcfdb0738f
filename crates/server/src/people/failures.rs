//! Counts failed attempts, so that attackers cannot guess for long and cannot lock others out.

use crate::oauth::failed_secrets::FailedSecrets;
use crate::people::attempts_under_way::UnderWay;

/// The failed attempts that a node keeps in memory. The others are in the database.
#[derive(Debug, Default)]
pub(crate) struct FailedAttempts {
    /// Wrong client secrets on this node.
    pub clients: FailedSecrets,
    pub(super) under_way: UnderWay,
}
