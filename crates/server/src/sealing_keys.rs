//! The sealing keys as of one change: the one in use and what is left of those before it, and every key derived of them.

use std::path::{Path, PathBuf};

use aws_lc_rs::hmac::{HMAC_SHA256, Key};
use countersign_store::{PreviousSealingKey, StoredSealingKeys};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::data_directory::{DirectoryError, read_sealing_key};
use crate::sealing::{SealError, SealingKey};

/// The key of the audit log is derived under this label.
const AUDIT: &str = "audit log";
/// The audit key of a sealing key that ended is sealed under this label.
pub(crate) const PREVIOUS_AUDIT: &str = "previous audit key";
/// Its other keys for MACs, under this one.
pub(crate) const PREVIOUS_MACS: &str = "previous MAC keys";
/// Bytes of a derived key.
const KEY_BYTES: usize = 32;

/// What is known by a MAC, also for a time after the sealing key was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MacUse {
    /// Cookies of sessions.
    Session,
    /// The XSRF pairs that belong to them.
    Pair,
    /// Cookies of known devices.
    Device,
    /// Refresh tokens that follow others.
    Successor,
    /// Names of people, under which failures are counted.
    Name,
}

impl MacUse {
    const ALL: [Self; 5] = [Self::Session, Self::Pair, Self::Device, Self::Successor, Self::Name];

    /// The label under which its key is derived.
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

/// A sealing key that this node holds.
#[derive(Clone, Debug)]
pub(crate) struct HeldKey {
    /// Its file.
    pub(crate) path: PathBuf,
    /// The key.
    pub(crate) key: SealingKey,
    /// By which a database knows it.
    pub(crate) check: String,
}

impl HeldKey {
    /// A key that was read from a file.
    pub(crate) fn new(path: PathBuf, key: SealingKey) -> Self {
        Self { path, check: key.check(), key }
    }

    fn read(path: &Path) -> Result<Option<Self>, DirectoryError> {
        Ok(read_sealing_key(path)?.map(|key| Self::new(path.to_owned(), key)))
    }
}

/// The sealing keys in the files of the configuration.
#[derive(Debug)]
pub(crate) struct KeyFiles {
    /// The one.
    pub(crate) present: Option<HeldKey>,
    /// The next one, while it is being replaced.
    pub(crate) next: Option<HeldKey>,
}

impl KeyFiles {
    /// Reads both.
    pub(crate) fn read(config: &Config) -> Result<Self, DirectoryError> {
        let next = config.sealing_key_next_path().map(|path| HeldKey::read(&path)).transpose()?.flatten();
        if let (None, Some(path)) = (&next, &config.sealing_key_next_file) {
            return Err(DirectoryError::NoNextSealingKey(path.display().to_string()));
        }
        Ok(Self { present: HeldKey::read(&config.sealing_key_path())?, next })
    }

    /// Both, if one of them is the one that a database knows by this.
    pub(crate) fn hold(self, check: &str) -> Option<HeldKeys> {
        let (in_use, other) = match (self.present, self.next) {
            (Some(present), next) if present.check == check => (present, next),
            (other, next) => (next.filter(|next| next.check == check)?, other),
        };
        Some(HeldKeys { other: other.filter(|other| other.check != check), in_use })
    }
}

/// The sealing keys that a node holds.
#[derive(Clone, Debug)]
pub(crate) struct HeldKeys {
    /// The one that was in use when it started.
    pub(crate) in_use: HeldKey,
    /// The one that follows it, or that it followed.
    pub(crate) other: Option<HeldKey>,
}

impl HeldKeys {
    /// By which databases know them.
    pub(crate) fn checks(&self) -> Vec<&str> {
        std::iter::once(&self.in_use).chain(&self.other).map(|held| held.check.as_str()).collect()
    }
}

/// The keys of one moment; never changed, only replaced.
#[derive(Debug)]
pub(crate) struct SealingKeys {
    key: SealingKey,
    other: Option<SealingKey>,
    own: MacKeys,
    accepted: Vec<MacKeys>,
    audit: Key,
    /// Each with the last record that is chained by it, the oldest first.
    previous_audits: Vec<(i64, Key)>,
}

impl SealingKeys {
    /// The keys of a node before it has read what its database keeps.
    pub(crate) fn first(held: &HeldKeys) -> Self {
        Self::new(&held.in_use, held.other.as_ref())
    }

    /// The keys of a database; Err if this node does not hold the one in use.
    pub(crate) fn build(held: &HeldKeys, stored: &StoredSealingKeys) -> Result<Self, SealError> {
        let mut keys = match (&stored.check, &held.other) {
            (Some(check), Some(other)) if *check == other.check => Self::new(other, Some(&held.in_use)),
            (Some(check), _) if *check != held.in_use.check => return Err(SealError),
            _ => Self::first(held),
        };
        for PreviousSealingKey { last_audit_sequence, sealed_audit_key, sealed_mac_keys } in &stored.previous {
            let row = last_audit_sequence.to_string();
            let opened = keys.key.open(PREVIOUS_AUDIT, &row, sealed_audit_key)?;
            keys.previous_audits.push((*last_audit_sequence, Key::new(HMAC_SHA256, &opened)));
            if let Some(sealed) = sealed_mac_keys {
                let opened = keys.key.open(PREVIOUS_MACS, &row, sealed)?;
                keys.accepted.push(MacKeys::parse(&opened).ok_or(SealError)?);
            }
        }
        Ok(keys)
    }

    fn new(in_use: &HeldKey, other: Option<&HeldKey>) -> Self {
        let (key, other) = (in_use.key.clone(), other.map(|other| other.key.clone()));
        Self {
            own: MacKeys::derive(&key),
            audit: key.derive_mac_key(AUDIT),
            accepted: other.iter().map(MacKeys::derive).collect(),
            previous_audits: Vec::new(),
            key,
            other,
        }
    }

    /// The sealing key in use: everything is sealed with it.
    pub(crate) fn key(&self) -> &SealingKey {
        &self.key
    }

    /// Opens what was sealed with the key in use, or with another one that this node holds: while the key is replaced, not every
    /// node has learnt of it.
    pub(crate) fn open(&self, label: &str, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let opened = self.key.open(label, name, sealed);
        opened.or_else(|error| self.other.as_ref().map_or(Err(error), |other| other.open(label, name, sealed)))
    }

    /// The key for new MACs.
    pub(crate) fn mac_key(&self, for_what: MacUse) -> &Key {
        self.own.find(for_what)
    }

    /// The keys whose MACs are accepted, that for new ones first.
    pub(crate) fn mac_keys(&self, for_what: MacUse) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.own).chain(&self.accepted).map(move |keys| keys.find(for_what))
    }

    /// The key that chains new audit records.
    pub(crate) fn audit_key(&self) -> &Key {
        &self.audit
    }

    /// The key that chains the audit record of this place.
    pub(crate) fn audit_key_at(&self, sequence: i64) -> &Key {
        let previous = self.previous_audits.iter().find(|(last, _)| sequence <= *last);
        previous.map_or(&self.audit, |(_, key)| key)
    }
}

/// What a database keeps of a sealing key that ends, sealed with the one that follows, for the record that is its last.
pub(crate) fn keep(
    ending: &SealingKey,
    following: &SealingKey,
    last_audit_sequence: i64,
    nonces: [[u8; 12]; 2],
) -> Result<PreviousSealingKey, SealError> {
    let row = last_audit_sequence.to_string();
    let macs: Vec<_> = MacUse::ALL.map(|for_what| ending.derive(for_what.label())).into_iter().collect();
    let macs = Zeroizing::new(macs.iter().flat_map(|key| key.iter().copied()).collect::<Vec<u8>>());
    Ok(PreviousSealingKey {
        last_audit_sequence,
        sealed_audit_key: following.seal(PREVIOUS_AUDIT, &row, ending.derive(AUDIT).as_slice(), nonces[0])?,
        sealed_mac_keys: Some(following.seal(PREVIOUS_MACS, &row, &macs, nonces[1])?),
    })
}

/// One sealing key's keys for MACs, in the order of [`MacUse`].
#[derive(Debug)]
struct MacKeys([Key; MacUse::ALL.len()]);

impl MacKeys {
    fn derive(key: &SealingKey) -> Self {
        Self(MacUse::ALL.map(|for_what| key.derive_mac_key(for_what.label())))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (keys, []) = bytes.as_chunks::<KEY_BYTES>() else { return None };
        Some(Self(<[[u8; KEY_BYTES]; _]>::try_from(keys).ok()?.map(|key| Key::new(HMAC_SHA256, &key))))
    }

    fn find(&self, for_what: MacUse) -> &Key {
        &self.0[for_what as usize]
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac::{sign, verify};

    use super::*;

    fn held(seed: u8) -> HeldKey {
        HeldKey::new(PathBuf::from("key"), SealingKey::from_random([seed; 32]))
    }

    #[test]
    fn after_the_key_was_replaced_the_macs_of_before_hold_and_new_ones_are_made_with_the_new_key() {
        let (first, second) = (held(1), held(2));
        let only = |held: &HeldKey| HeldKeys { in_use: held.clone(), other: None };
        let before = SealingKeys::first(&only(&first));
        let kept = keep(&first.key, &second.key, 7, [[3; 12], [4; 12]]).expect("seals");
        let stored = StoredSealingKeys { check: Some(second.check.clone()), previous: vec![kept.clone()] };
        assert!(SealingKeys::build(&only(&first), &stored).is_err(), "it does not hold the new key");
        let after = SealingKeys::build(&only(&second), &stored).expect("builds");
        for for_what in MacUse::ALL {
            let old = sign(before.mac_key(for_what), b"given out before");
            assert_ne!(old.as_ref(), sign(after.mac_key(for_what), b"given out before").as_ref());
            assert!(after.mac_keys(for_what).any(|key| verify(key, b"given out before", old.as_ref()).is_ok()));
        }
        let record = sign(before.audit_key(), b"record");
        assert!(verify(after.audit_key_at(7), b"record", record.as_ref()).is_ok());
        assert!(verify(after.audit_key_at(8), b"record", record.as_ref()).is_err());
        let over = PreviousSealingKey { sealed_mac_keys: None, ..kept };
        let stored = StoredSealingKeys { previous: vec![over], ..stored };
        let later = SealingKeys::build(&only(&second), &stored).expect("builds");
        assert_eq!(later.mac_keys(MacUse::Session).count(), 1, "their time is over");
    }

    #[test]
    fn a_node_that_holds_both_keys_opens_with_either_whichever_the_database_has() {
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
