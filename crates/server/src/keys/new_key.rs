//! Creates, seals and stores a new signing key.

use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::key::{KeyError, SigningKey};
use countersign_store::{Change, KeyState, StoreError};
use zeroize::Zeroizing;

use crate::keys::error::KeyRingError;
use crate::keys::ring::SEAL_LABEL;
use crate::state::State;

/// A new key that is not stored yet.
pub(crate) struct NewKey {
    /// Its ID.
    pub(crate) id: String,
    algorithm: Algorithm,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl NewKey {
    /// Seals and stores the key. Sealing happens here and not before the change began, because the sealing key may have
    /// been replaced since.
    pub(crate) async fn insert(
        &self,
        state: &State,
        change: &mut Change,
        in_state: KeyState,
    ) -> Result<(), KeyRingError> {
        let sealing = state.registry.sealing_keys();
        let sealed = sealing.key().seal(SEAL_LABEL, &self.id, &self.pkcs8, state.entropy.bytes());
        let sealed = sealed.map_err(|error| KeyRingError::Sealed(self.id.clone(), error))?;
        Ok(change.insert_key(&self.id, self.algorithm, in_state, &sealed).await?)
    }
}

/// Creates a key. This takes a while, so it is done before any transaction.
pub(crate) async fn make_key(algorithm: Algorithm) -> Result<NewKey, KeyRingError> {
    let made = tokio::task::spawn_blocking(move || {
        let pkcs8 = SigningKey::generate(algorithm)?;
        let id = SigningKey::from_pkcs8(algorithm, &pkcs8)?.jwk().key_id().to_string();
        Ok((id, pkcs8))
    });
    let lost = |_| KeyRingError::Key(algorithm.to_string(), KeyError);
    let (id, pkcs8) = made.await.map_err(lost)?.map_err(|error| KeyRingError::Key(algorithm.to_string(), error))?;
    Ok(NewKey { id, algorithm, pkcs8 })
}

/// Creates and stores the first key of an algorithm, which signs immediately. If another node was faster, its key is
/// kept.
pub(crate) async fn make_first_key(state: &State, algorithm: Algorithm) -> Result<(), KeyRingError> {
    let key = make_key(algorithm).await?;
    let mut change = state.store.begin_change(state.now()).await?;
    state.follow().await?;
    match key.insert(state, &mut change, KeyState::Active).await {
        Ok(()) => Ok(change.commit().await?),
        Err(KeyRingError::Store(StoreError::Taken(_))) => Ok(()),
        Err(other) => Err(other),
    }
}
