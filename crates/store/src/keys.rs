//! Signing keys, sealed.

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

/// Where a signing key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
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
        self.into()
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
    /// The private key, sealed; nothing of a retired one.
    pub sealed_pkcs8: Vec<u8>,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it came into its state.
    pub state_since: UnixTime,
    /// The longest lifetime of an access token that it may have signed, in seconds.
    pub longest_lifetime_s: i64,
}

impl Change {
    /// Adds a signing key, made and in its state since now; a second active one of an algorithm is refused as taken.
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

    /// Brings a key into another state, but for retired.
    pub async fn set_key_state(&mut self, id: &str, state: KeyState) -> Result<(), StoreError> {
        let update = sqlx::query(SET_STATE).bind(state.as_str()).bind(self.now).bind(id.to_owned());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Retires a key and forgets its private part.
    pub async fn retire_key(&mut self, id: &str) -> Result<(), StoreError> {
        let update = sqlx::query(FORGET_KEY).bind(self.now).bind(Vec::new()).bind(id.to_owned());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Notes that tokens may live this long from now on, so that no key is forgotten before its last token is dead.
    pub(crate) async fn raise_key_lifetimes(&mut self, lifetime_s: i64) -> Result<(), StoreError> {
        let raise = sqlx::query(RAISE_LIFETIMES).bind(lifetime_s).bind(lifetime_s);
        raise.execute(&mut *self.transaction).await?;
        Ok(())
    }
}

impl Store {
    /// The keys that were retired last, at most `limit`.
    pub async fn list_retired_keys(&self, limit: i64) -> Result<Vec<StoredKey>, StoreError> {
        let rows = sqlx::query(LIST_RETIRED).bind(limit).fetch_all(self.reader()).await?;
        rows.iter().map(read).collect()
    }

    /// The retired key of this id.
    pub async fn find_retired_key(&self, id: &str) -> Result<Option<StoredKey>, StoreError> {
        let found = sqlx::query(FIND_RETIRED).bind(id.to_owned()).fetch_optional(self.reader()).await?;
        found.as_ref().map(read).transpose()
    }
}

/// Reads every key that is not retired.
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
