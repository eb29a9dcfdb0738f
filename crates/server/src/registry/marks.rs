//! A fingerprint of a registry: a sum over the IDs and the last changes that touched them.

use std::hash::{DefaultHasher, Hash, Hasher};

use countersign_store::EntryKind;

/// The sum, which does not depend on the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(u64);

impl Marks {
    /// Adds an object.
    pub(super) fn add(&mut self, kind: EntryKind, id: &str, last_change: i64) {
        self.0 = self.0.wrapping_add(hash(kind, id, last_change));
    }

    /// Removes an object.
    pub(super) fn take(&mut self, kind: EntryKind, id: &str, last_change: i64) {
        self.0 = self.0.wrapping_sub(hash(kind, id, last_change));
    }
}

/// Only used within one process, and never stored.
fn hash(kind: EntryKind, id: &str, last_change: i64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (kind, id, last_change).hash(&mut hasher);
    hasher.finish()
}
