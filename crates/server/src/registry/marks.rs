//! What tells whether two registries hold the same: a sum over the ids and the changes that touched them last.

use std::hash::{DefaultHasher, Hash, Hasher};

use countersign_store::EntryKind;

/// The sum, the same whatever the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(u64);

impl Marks {
    /// Adds one that is there.
    pub(super) fn add(&mut self, kind: EntryKind, id: &str, last_change: i64) {
        self.0 = self.0.wrapping_add(hash(kind, id, last_change));
    }

    /// Takes away one that was there.
    pub(super) fn take(&mut self, kind: EntryKind, id: &str, last_change: i64) {
        self.0 = self.0.wrapping_sub(hash(kind, id, last_change));
    }
}

/// Within one process only: this is found nowhere else.
fn hash(kind: EntryKind, id: &str, last_change: i64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (kind, id, last_change).hash(&mut hasher);
    hasher.finish()
}
