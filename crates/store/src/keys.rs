//! Sealed signing keys.

use countersign_protocol::UnixTime;
use countersign_protocol::jose::algorithm::Algorithm;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};
use strum::{EnumString, IntoStaticStr};

use crate::changes::Change;
use crate::database::Store;
use crate::error::StoreError;
use crate::reading::read_rows;
use crate::statement::statements;

statements! {
    INSERT_KEY = "INSERT INTO signing_keys (id, algorithm, state, sealed_pkcs8, created_at, state_since, \
         longest_lifetime_s) VALUES ($1, $2, $3, $4, $5, $6, \
         (SELECT COALESCE(MAX(access_token_lifetime_s), 0) FROM apis))";
    SET_STATE = "UPDATE signing_keys SET state = $1, state_since = $2 WHERE id = $3";
    FORGET_KEY = "UPDATE signing_keys SET state = 'retired', state_since = $1, sealed_pkcs8 = $2 WHERE id = $3";
    RAISE_LIFETIMES = "UPDATE signing_keys SET longest_lifetime_s = $1 WHERE state <> 'retired' \
         AND longest_lifetime_s < $2";
    LOAD_KEYS = "SELECT id, algorithm, state, sealed_pkcs8, created_at, state_since, longest_lifetime_s \
         FROM signing_keys WHERE state <> 'retired' ORDER BY created_at, id";
    LIST_RETIRED = "SELECT id, algorithm, state, sealed_pkcs8, created_at, state_since, longest_lifetime_s \
         FROM signing_keys WHERE state = 'retired' ORDER BY state_since DESC, id LIMIT $1";
    FIND_RETIRED = "SELECT id, algorithm, state, sealed_pkcs8, created_at, state_since, longest_lifetime_s \
         FROM signing_keys WHERE state = 'retired' AND id = $1";
}

/// The state of a signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum KeyState {
    /// Published, not signing yet.
    Pending,
    /// Signing. There is one per algorithm.
    Active,
    /// Only verifying.
    Retiring,
    /// No longer used.
    Retired,
}

impl KeyState {
    /// The stored and displayed name.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A stored signing key.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// Its key ID.
    pub id: String,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its state.
    pub state: KeyState,
    /// The sealed private key. Empty for a retired key.
    pub sealed_pkcs8: Vec<u8>,
    /// When it was created.
    pub created_at: UnixTime,
    /// When it entered its state.
    pub state_since: UnixTime,
    /// The longest lifetime of the access tokens that it may have signed, in seconds.
    pub longest_lifetime_s: i64,
}

impl Change {
    /// Inserts a signing key that is created and enters its state now. [`StoreError::Taken`] if the algorithm has an active one.
    pub async fn insert_key(
        &mut self,
        id: &str,
        algorithm: Algorithm,
        state: KeyState,
        sealed_pkcs8: &[u8],
    ) -> Result<(), StoreError> {
        sqlx::query(INSERT_KEY)
            .bind(id.to_owned())
            .bind(algorithm.as_str())
            .bind(state.as_str())
            .bind(sealed_pkcs8.to_vec())
            .bind(self.now)
            .bind(self.now)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// Moves a key to another state, except retired.
    pub async fn set_key_state(&mut self, id: &str, state: KeyState) -> Result<(), StoreError> {
        let update = sqlx::query(SET_STATE).bind(state.as_str()).bind(self.now).bind(id.to_owned());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Retires a key and deletes its private part.
    pub async fn retire_key(&mut self, id: &str) -> Result<(), StoreError> {
        let update = sqlx::query(FORGET_KEY).bind(self.now).bind(Vec::new()).bind(id.to_owned());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Records a longer token lifetime, so that no key is retired before its last token has expired.
    pub(crate) async fn raise_key_lifetimes(&mut self, lifetime_s: i64) -> Result<(), StoreError> {
        let raise = sqlx::query(RAISE_LIFETIMES).bind(lifetime_s).bind(lifetime_s);
        raise.execute(&mut *self.transaction).await?;
        Ok(())
    }
}

impl Store {
    /// Lists the most recently retired keys, at most `limit`.
    pub async fn list_retired_keys(&self, limit: i64) -> Result<Vec<StoredKey>, StoreError> {
        let rows = sqlx::query(LIST_RETIRED).bind(limit).fetch_all(self.reader()).await?;
        rows.iter().map(read).collect()
    }

    /// Finds the retired key with this ID.
    pub async fn find_retired_key(&self, id: &str) -> Result<Option<StoredKey>, StoreError> {
        let found = sqlx::query(FIND_RETIRED).bind(id.to_owned()).fetch_optional(self.reader()).await?;
        found.as_ref().map(read).transpose()
    }
}

/// Loads every key that is not retired.
pub(crate) async fn load(connection: &mut AnyConnection) -> Result<Vec<StoredKey>, StoreError> {
    read_rows(connection, LOAD_KEYS, "keys").await?.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<StoredKey, StoreError> {
    let (id, algorithm, state): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (Some(algorithm), Some(state)) = (Algorithm::parse(&algorithm), state.parse().ok()) else {
        return Err(StoreError::Broken { table: "signing_keys", row: id });
    };
    Ok(StoredKey {
        id,
        algorithm,
        state,
        sealed_pkcs8: row.try_get(3)?,
        created_at: row.try_get(4)?,
        state_since: row.try_get(5)?,
        longest_lifetime_s: row.try_get(6)?,
    })
}
