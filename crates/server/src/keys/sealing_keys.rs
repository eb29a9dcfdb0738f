//! The sealing keys as of one change: the current one, what is kept of earlier ones, and all keys derived from them.

use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use countersign_store::{PreviousSealingKey, StoredSealingKeys};
use zeroize::Zeroizing;

use crate::keys::error::KeyRingError;
use crate::keys::sealing::{SealError, SealingKey};
use crate::keys::sealing_files::{HeldKey, HeldKeys};

/// The label for deriving the key of the audit log.
const AUDIT: &str = "audit log";
/// The label for sealing the audit key of an earlier sealing key.
pub(crate) const PREVIOUS_AUDIT: &str = "previous audit key";
/// The label for sealing its other MAC keys.
pub(crate) const PREVIOUS_MACS: &str = "previous MAC keys";
/// The length of a derived key in bytes.
const KEY_BYTES: usize = 32;

/// What MACs are used for. Those of an earlier sealing key are accepted for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacUse {
    /// Session cookies.
    Session,
    /// The XSRF pairs of sessions.
    Pair,
    /// Cookies of known devices.
    Device,
    /// Successors of refresh tokens.
    Successor,
    /// User names, under which failures are counted.
    Name,
}

impl MacUse {
    const ALL: [Self; 5] = [Self::Session, Self::Pair, Self::Device, Self::Successor, Self::Name];

    /// Returns the label for deriving the key.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Pair => "xsrf",
            Self::Device => "known devices",
            Self::Successor => "refresh token successors",
            Self::Name => "names of people",
        }
    }
}

/// The keys as of one change. They are never changed, only replaced.
#[derive(Debug)]
pub struct SealingKeys {
    key: SealingKey,
    other: Option<SealingKey>,
    own: MacKeys,
    accepted: Vec<MacKeys>,
    audit: Key,
    /// Each audit key with the last record that it chains, oldest first. `None` if its row is damaged.
    previous_audits: Vec<(i64, Option<Key>)>,
    /// True if the other key was used earlier.
    is_other_previous: bool,
}

impl SealingKeys {
    /// Creates the keys of a node that has not read its database yet.
    pub(crate) fn first(held: &HeldKeys) -> Self {
        Self::new(&held.in_use, held.other.as_ref())
    }

    /// Creates the keys of a database. Fails if this node does not have the current one.
    pub(crate) fn build(held: &HeldKeys, stored: &StoredSealingKeys) -> Result<Self, KeyRingError> {
        let mut keys = match (&stored.check, &held.other) {
            (Some(check), Some(other)) if *check == other.check => Self::new(other, Some(&held.in_use)),
            (Some(check), _) if *check != held.in_use.check => return Err(KeyRingError::OtherSealingKey),
            _ => Self::first(held),
        };
        for PreviousSealingKey { last_audit_sequence, sealed_audit_key, sealed_mac_keys } in &stored.previous {
            let row = last_audit_sequence.to_string();
            let audit = keys.open_previous(PREVIOUS_AUDIT, &row, sealed_audit_key);
            let audit = audit.map(|opened| Key::new(HMAC_SHA256, &opened));
            let is_of_other = |audit| keys.other.as_ref().is_some_and(|other| is_audit_key(audit, other));
            keys.is_other_previous |= audit.as_ref().is_some_and(is_of_other);
            keys.previous_audits.push((*last_audit_sequence, audit));
            let macs = sealed_mac_keys.as_ref().and_then(|sealed| keys.open_previous(PREVIOUS_MACS, &row, sealed));
            keys.accepted.extend(macs.and_then(|opened| MacKeys::parse(&opened)));
        }
        // For a key that was used earlier, the row contains what is still accepted, for as long as that lasts.
        if !keys.is_other_previous {
            keys.accepted.extend(keys.other.as_ref().map(MacKeys::derive));
        }
        Ok(keys)
    }

    /// A damaged row only affects its own use.
    fn open_previous(&self, label: &str, row: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let opened = self.key.open(label, row, sealed);
        opened.inspect_err(|error| tracing::error!(%error, "previous sealing key {row}: {label}")).ok()
    }

    fn new(in_use: &HeldKey, other: Option<&HeldKey>) -> Self {
        let (key, other) = (in_use.key.clone(), other.map(|other| other.key.clone()));
        Self {
            own: MacKeys::derive(&key),
            audit: key.derive_mac_key(AUDIT),
            accepted: Vec::new(),
            previous_audits: Vec::new(),
            is_other_previous: false,
            key,
            other,
        }
    }

    /// Returns the current sealing key, which seals everything.
    pub fn key(&self) -> &SealingKey {
        &self.key
    }

    /// Opens data that was sealed with the current key, or with another key of this node. During a rotation, not every
    /// node knows the new key yet.
    pub fn open(&self, label: &str, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let opened = self.key.open(label, name, sealed);
        opened.or_else(|error| self.other.as_ref().map_or(Err(error), |other| other.open(label, name, sealed)))
    }

    /// Returns the key for new MACs.
    pub fn mac_key(&self, mac_use: MacUse) -> &Key {
        self.own.find(mac_use)
    }

    /// Returns the keys of accepted MACs, starting with the one for new MACs.
    pub fn mac_keys(&self, mac_use: MacUse) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.own).chain(&self.accepted).map(move |keys| keys.find(mac_use))
    }

    /// Returns the key that chains new audit records.
    pub(crate) fn audit_key(&self) -> &Key {
        &self.audit
    }

    /// Returns the key that chains the audit record with this number, or `None` if it is lost.
    pub(crate) fn audit_key_at(&self, sequence: i64) -> Option<&Key> {
        let previous = self.previous_audits.iter().find(|(last, _)| sequence <= *last);
        previous.map_or(Some(&self.audit), |(_, key)| key.as_ref())
    }

    /// True if the other key of this node was used earlier.
    pub(crate) fn is_other_previous(&self) -> bool {
        self.is_other_previous
    }
}

/// True for the audit key of a sealing key.
fn is_audit_key(audit: &Key, of: &SealingKey) -> bool {
    hmac::verify(audit, AUDIT.as_bytes(), hmac::sign(&of.derive_mac_key(AUDIT), AUDIT.as_bytes()).as_ref()).is_ok()
}

/// Returns what a database keeps of a sealing key whose last audit record this is, sealed with its successor.
pub(crate) fn seal_previous(
    ending: &SealingKey,
    following: &SealingKey,
    last_audit_sequence: i64,
    nonces: [[u8; 12]; 2],
) -> Result<PreviousSealingKey, SealError> {
    let row = last_audit_sequence.to_string();
    let macs: Vec<_> = MacUse::ALL.map(|mac_use| ending.derive(mac_use.label())).into_iter().collect();
    let macs = Zeroizing::new(macs.iter().flat_map(|key| key.iter().copied()).collect::<Vec<u8>>());
    Ok(PreviousSealingKey {
        last_audit_sequence,
        sealed_audit_key: following.seal(PREVIOUS_AUDIT, &row, ending.derive(AUDIT).as_slice(), nonces[0])?,
        sealed_mac_keys: Some(following.seal(PREVIOUS_MACS, &row, &macs, nonces[1])?),
    })
}

/// The MAC keys of one sealing key, in the order of [`MacUse`].
#[derive(Debug)]
struct MacKeys([Key; MacUse::ALL.len()]);

impl MacKeys {
    fn derive(key: &SealingKey) -> Self {
        Self(MacUse::ALL.map(|mac_use| key.derive_mac_key(mac_use.label())))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (keys, []) = bytes.as_chunks::<KEY_BYTES>() else { return None };
        Some(Self(<[[u8; KEY_BYTES]; _]>::try_from(keys).ok()?.map(|key| Key::new(HMAC_SHA256, &key))))
    }

    fn find(&self, mac_use: MacUse) -> &Key {
        &self.0[mac_use as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use aws_lc_rs::hmac::{sign, verify};

    use super::*;

    fn held(seed: u8) -> HeldKey {
        HeldKey::new(PathBuf::from("key"), SealingKey::from_random([seed; 32]))
    }

    #[test]
    fn after_a_rotation_earlier_macs_verify_and_new_ones_use_the_new_key() {
        let (first, second) = (held(1), held(2));
        let only = |held: &HeldKey| HeldKeys { in_use: held.clone(), other: None };
        let before = SealingKeys::first(&only(&first));
        let kept = seal_previous(&first.key, &second.key, 7, [[3; 12], [4; 12]]).expect("seals");
        let stored = StoredSealingKeys { check: Some(second.check.clone()), previous: vec![kept.clone()] };
        assert!(SealingKeys::build(&only(&first), &stored).is_err(), "it does not have the new key");
        let after = SealingKeys::build(&only(&second), &stored).expect("builds");
        for mac_use in MacUse::ALL {
            let old = sign(before.mac_key(mac_use), b"given out before");
            assert_ne!(old.as_ref(), sign(after.mac_key(mac_use), b"given out before").as_ref());
            assert!(after.mac_keys(mac_use).any(|key| verify(key, b"given out before", old.as_ref()).is_ok()));
        }
        let record = sign(before.audit_key(), b"record");
        assert!(verify(after.audit_key_at(7).expect("opens"), b"record", record.as_ref()).is_ok());
        assert!(verify(after.audit_key_at(8).expect("exists"), b"record", record.as_ref()).is_err());
        let both = HeldKeys { in_use: second.clone(), other: Some(first) };
        let with_old_file = SealingKeys::build(&both, &stored).expect("builds");
        assert!(with_old_file.is_other_previous() && !after.is_other_previous());
        assert_eq!(with_old_file.mac_keys(MacUse::Session).count(), 2, "not longer, even if the file still exists");
        let over = PreviousSealingKey { sealed_mac_keys: None, ..kept };
        let stored = StoredSealingKeys { previous: vec![over], ..stored };
        let later = SealingKeys::build(&only(&second), &stored).expect("builds");
        assert_eq!(later.mac_keys(MacUse::Session).count(), 1, "their retention period is over");
    }

    #[test]
    fn a_node_with_both_keys_opens_values_whichever_key_the_database_uses() {
        let (first, second) = (held(1), held(2));
        let both = HeldKeys { in_use: first.clone(), other: Some(second.clone()) };
        for in_use in [&first, &second] {
            let stored = StoredSealingKeys { check: Some(in_use.check.clone()), previous: Vec::new() };
            let keys = SealingKeys::build(&both, &stored).expect("builds");
            assert_eq!(keys.key().check(), in_use.check);
            for sealer in [&first, &second] {
                let sealed = sealer.key.seal("label", "row", b"secret", [5; 12]).expect("seals");
                assert_eq!(keys.open("label", "row", &sealed).expect("opens").as_slice(), b"secret");
            }
        }
    }
}
