//! A fixed set of keys, for an API that gets its issuer's key set in another way, and for tests.

use std::sync::Arc;

use countersign_protocol::access_token::{KeySource, TokenFault};
use countersign_protocol::claims::Claims;
use countersign_protocol::jose::jwk::{Jwk, KeyId};
use countersign_protocol::jose::key::{KeyError, VerifyingKey};
use countersign_protocol::revocation::Ended;

/// Keys that never change. Tokens are valid until they expire, because a fixed set does not learn about revocations.
#[derive(Debug)]
pub struct FixedKeys(Vec<Arc<VerifyingKey>>);

impl FixedKeys {
    /// Parses the keys once. Fails if one is malformed or too weak.
    pub fn new(keys: &[Jwk]) -> Result<Self, KeyError> {
        keys.iter().map(|jwk| VerifyingKey::from_jwk(jwk).map(Arc::new)).collect::<Result<_, _>>().map(Self)
    }
}

impl KeySource for FixedKeys {
    fn check_current(&self) -> Result<(), TokenFault> {
        Ok(())
    }

    fn find_key(&self, key_id: &KeyId) -> Option<Arc<VerifyingKey>> {
        self.0.iter().find(|key| key.key_id() == key_id).cloned()
    }

    fn check_alive(&self, _: &Claims) -> Result<(), Ended> {
        Ok(())
    }
}
