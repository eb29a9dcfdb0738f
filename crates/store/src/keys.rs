//! Signing keys, sealed.

use countersign_protocol::UnixTime;
use countersign_protocol::jose::algorithm::Algorithm;
use sqlx::{AnyConnection, Row};

use crate::changes::Change;
use crate::error::StoreError;
use crate::statement::statements;

statements! {
    INSERT_KEY =
        "INSERT INTO signing_keys (id, algorithm, state, sealed_pkcs8, created_at) VALUES ($1, $2, $3, $4, $5)";
    LOAD_KEYS = "SELECT id, algorithm, state, sealed_pkcs8 FROM signing_keys WHERE state <> 'retired' \
         ORDER BY created_at, id";
}

/// Where a signing key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Published, not yet signing.
    Pending,
    /// Signing; one of an algorithm.
    Active,
    /// Verifying only.
    Retiring,
    /// Neither.
    Retired,
}

impl KeyState {
    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Pending, Self::Active, Self::Retiring, Self::Retired].into_iter().find(|state| state.as_str() == word)
    }
}

/// A signing key as it is stored.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// Its key id.
    pub id: String,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Where it is in its life.
    pub state: KeyState,
    /// The private key, sealed.
    pub sealed_pkcs8: Vec<u8>,
}

impl Change {
    /// Adds a signing key; a second active one of an algorithm is refused as taken.
    pub async fn insert_key(&mut self, key: &StoredKey, now: UnixTime) -> Result<(), StoreError> {
        sqlx::query(INSERT_KEY)
            .bind(key.id.as_str())
            .bind(key.algorithm.as_str())
            .bind(key.state.as_str())
            .bind(key.sealed_pkcs8.clone())
            .bind(now)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }
}

/// Reads every key that is not retired.
pub(crate) async fn load(connection: &mut AnyConnection) -> Result<Vec<StoredKey>, StoreError> {
    let mut keys = Vec::new();
    for row in sqlx::query(LOAD_KEYS).fetch_all(&mut *connection).await? {
        let (id, algorithm, state): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let sealed_pkcs8 = row.try_get(3)?;
        let (Some(algorithm), Some(state)) = (Algorithm::parse(&algorithm), KeyState::parse(&state)) else {
            return Err(StoreError::Broken { table: "signing_keys", row: id });
        };
        keys.push(StoredKey { id, algorithm, state, sealed_pkcs8 });
    }
    Ok(keys)
}
