//! The signing keys, decrypted and parsed once. Each algorithm in use has one active key.

use std::collections::HashMap;
use std::sync::Arc;

use countersign_protocol::UnixTime;
use countersign_protocol::access_token::MEDIA_TYPE;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::jwk::{Jwk, KeyId, jwk_set};
use countersign_protocol::jose::jws::{encode_header, sign};
use countersign_protocol::jose::key::{KeyError, SigningKey, VerifyingKey};
use countersign_store::{KeyState, StoredKey};

use crate::keys::error::KeyRingError;
use crate::keys::sealing_keys::SealingKeys;

pub(crate) const SEAL_LABEL: &str = "signing key";

/// The state of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyLife {
    /// The key ID.
    pub(crate) id: String,
    /// The algorithm.
    pub(crate) algorithm: Algorithm,
    /// The state.
    pub(crate) state: KeyState,
    /// When it was created.
    pub(crate) created_at: UnixTime,
    /// When it entered its state.
    pub(crate) since: UnixTime,
    /// The longest lifetime of a token that it may have signed, in seconds.
    pub(crate) longest_lifetime_s: i64,
}

impl KeyLife {
    /// Returns the stored metadata of a key.
    pub fn of(key: &StoredKey) -> Self {
        Self {
            id: key.id.clone(),
            algorithm: key.algorithm,
            state: key.state,
            created_at: key.created_at,
            since: key.state_since,
            longest_lifetime_s: key.longest_lifetime_s,
        }
    }
}

/// A key, ready for use.
#[derive(Debug)]
struct RingKey {
    life: KeyLife,
    signing: SigningKey,
    verifying: Arc<VerifyingKey>,
    encoded_header: String,
}

/// All keys that sign or verify.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: HashMap<KeyId, Arc<RingKey>>,
    active: HashMap<Algorithm, Arc<RingKey>>,
    lives: Vec<KeyLife>,
    published: String,
}

impl KeyRing {
    /// Decrypts and parses the stored keys. Keys in `previous` are not parsed again.
    pub(crate) fn build(stored: &[StoredKey], sealing: &SealingKeys, previous: &Self) -> Result<Self, KeyRingError> {
        let mut ring = Self::default();
        let mut jwks = Vec::new();
        for key in stored {
            let id = KeyId::new(key.id.as_str());
            let known = previous.keys.get(&id).filter(|known| known.life == KeyLife::of(key)).cloned();
            let ready = known.map_or_else(|| open(key, sealing).map(Arc::new), Ok)?;
            if key.state == KeyState::Active {
                ring.active.insert(key.algorithm, ready.clone());
            }
            jwks.push(ready.signing.jwk().clone());
            ring.lives.push(ready.life.clone());
            ring.keys.insert(id, ready);
        }
        ring.published = jwk_set(&jwks).to_string();
        Ok(ring)
    }

    /// Returns all keys, oldest first.
    pub(crate) fn lives(&self) -> &[KeyLife] {
        &self.lives
    }

    /// Returns the key set document (RFC 7517 §5).
    pub fn published(&self) -> &str {
        &self.published
    }

    /// Returns the verifying key with this ID.
    pub fn find_key(&self, id: &KeyId) -> Option<Arc<VerifyingKey>> {
        self.keys.get(id).map(|key| key.verifying.clone())
    }

    /// Returns the public key with this ID.
    pub(crate) fn find_jwk(&self, id: &str) -> Option<&Jwk> {
        self.keys.get(&KeyId::new(id)).map(|key| key.signing.jwk())
    }

    /// Signs an access token with the active key of the algorithm. Returns `None` while there is none.
    pub fn sign(&self, algorithm: Algorithm, payload: &[u8]) -> Option<Result<String, KeyError>> {
        let key = self.active.get(&algorithm)?;
        Some(sign(&key.signing, &key.encoded_header, payload))
    }

    /// Returns the algorithms in use, and always the default one, that have no active key yet.
    pub(crate) fn missing(&self, in_use: impl Iterator<Item = Algorithm>) -> Vec<Algorithm> {
        let in_use: Vec<Algorithm> =
            in_use.chain([Algorithm::Es256]).filter(|one| !self.active.contains_key(one)).collect();
        Algorithm::ALL.into_iter().filter(|algorithm| in_use.contains(algorithm)).collect()
    }
}

fn open(key: &StoredKey, sealing: &SealingKeys) -> Result<RingKey, KeyRingError> {
    let pkcs8 = sealing.open(SEAL_LABEL, &key.id, &key.sealed_pkcs8);
    let pkcs8 = pkcs8.map_err(|error| KeyRingError::Sealed(key.id.clone(), error))?;
    let parse = || {
        let signing = SigningKey::from_pkcs8(key.algorithm, &pkcs8)?;
        let verifying = Arc::new(VerifyingKey::from_jwk(signing.jwk())?);
        let encoded_header = encode_header(&signing, MEDIA_TYPE);
        Ok(RingKey { life: KeyLife::of(key), signing, verifying, encoded_header })
    };
    parse().map_err(|error| KeyRingError::Key(key.id.clone(), error))
}
