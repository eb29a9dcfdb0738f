//! Why the keys cannot be used.

use countersign_protocol::jose::key::KeyError;
use countersign_store::StoreError;

use crate::keys::sealing::SealError;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// A sealed key cannot be decrypted.
    #[error("signing key {0}: {1}")]
    Sealed(String, SealError),
    /// A decrypted key cannot be parsed.
    #[error("signing key {0}: {1}")]
    Key(String, KeyError),
    /// This node does not have the sealing key of the database.
    #[error("the sealing key of the database has changed; restart this node with the new one")]
    OtherSealingKey,
    /// The database was copied to another one, which is used now.
    #[error(
        "this database was copied to {0} by `countersign migrate`; stop this node, and start it with that database"
    )]
    Moved(String),
    /// A new key cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<KeyRingError> for StoreError {
    fn from(error: KeyRingError) -> Self {
        match error {
            KeyRingError::Store(error) => error,
            other => Self::Refused(other.to_string()),
        }
    }
}
