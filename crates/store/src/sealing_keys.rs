//! The current sealing key, what is kept of previous ones, and all sealed values.

use countersign_protocol::UnixTime;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::changes::Change;
use crate::database::Store;
use crate::error::StoreError;
use crate::reading::{in_time, read_rows};
use crate::statement::statements;

/// The setting that identifies a database's sealing key.
pub const SEALING_KEY_CHECK: &str = "sealing_key_check";

statements! {
    FIND_CHECK = "SELECT value FROM settings WHERE name = $1";
    LIST_PREVIOUS = "SELECT last_audit_sequence, sealed_audit_key, sealed_mac_keys FROM previous_sealing_keys \
         ORDER BY last_audit_sequence";
    INSERT_PREVIOUS = "INSERT INTO previous_sealing_keys (last_audit_sequence, ended_at, sealed_audit_key, sealed_mac_keys) \
         VALUES ($1, $2, $3, $4)";
    FIND_OLD_MAC_KEYS =
        "SELECT 1 FROM previous_sealing_keys WHERE sealed_mac_keys IS NOT NULL AND ended_at < $1 LIMIT 1";
    FORGET_MAC_KEYS = "UPDATE previous_sealing_keys SET sealed_mac_keys = NULL \
         WHERE sealed_mac_keys IS NOT NULL AND ended_at < $1";
    LIST_SIGNING_KEYS = "SELECT id, sealed_pkcs8 FROM signing_keys WHERE state <> 'retired' ORDER BY id";
    RESEAL_SIGNING_KEY = "UPDATE signing_keys SET sealed_pkcs8 = $1 WHERE id = $2";
    LIST_SEEDS = "SELECT id, sealed_seed FROM second_factors ORDER BY id";
    RESEAL_SEED = "UPDATE second_factors SET sealed_seed = $1 WHERE id = $2";
    LIST_PLAYGROUND_SECRETS = "SELECT CAST(id AS TEXT), sealed_client_secret FROM playground_settings \
         WHERE sealed_client_secret IS NOT NULL";
    RESEAL_PLAYGROUND_SECRET = "UPDATE playground_settings SET sealed_client_secret = $1 WHERE CAST(id AS TEXT) = $2";
    LIST_AUDIT_KEYS = "SELECT CAST(last_audit_sequence AS TEXT), sealed_audit_key FROM previous_sealing_keys \
         ORDER BY last_audit_sequence";
    RESEAL_AUDIT_KEY = "UPDATE previous_sealing_keys SET sealed_audit_key = $1 WHERE CAST(last_audit_sequence AS TEXT) = $2";
    LIST_MAC_KEYS = "SELECT CAST(last_audit_sequence AS TEXT), sealed_mac_keys FROM previous_sealing_keys \
         WHERE sealed_mac_keys IS NOT NULL ORDER BY last_audit_sequence";
    RESEAL_MAC_KEYS = "UPDATE previous_sealing_keys SET sealed_mac_keys = $1 WHERE CAST(last_audit_sequence AS TEXT) = $2";
    LIST_FAILED_NAMES = "SELECT name_mac FROM password_failures ORDER BY name_mac";
    RENAME_FAILURES = "UPDATE password_failures SET name_mac = $1 WHERE name_mac = $2";
}

/// The sealing keys of a database, from one snapshot.
#[derive(Clone, Debug, Default)]
pub struct StoredSealingKeys {
    /// Identifies the current key. `None` until the first start sets it.
    pub check: Option<String>,
    /// Previous keys, oldest first.
    pub previous: Vec<PreviousSealingKey>,
}

/// What is kept of a replaced sealing key, sealed with the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousSealingKey {
    /// The last audit record with a MAC by its audit key.
    pub last_audit_sequence: i64,
    /// Its audit key.
    pub sealed_audit_key: Vec<u8>,
    /// Its keys for other MACs. `None` after their retention period.
    pub sealed_mac_keys: Option<Vec<u8>>,
}

/// The kind of a sealed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedKind {
    /// A private key.
    SigningKey,
    /// The seed of a second factor.
    Seed,
    /// The client secret of the playground.
    PlaygroundSecret,
    /// The audit key of a previous sealing key.
    AuditKey,
    /// The other MAC keys of a previous sealing key.
    MacKeys,
}

impl SealedKind {
    const ALL: [Self; 5] = [Self::SigningKey, Self::Seed, Self::PlaygroundSecret, Self::AuditKey, Self::MacKeys];

    fn listing(self) -> &'static str {
        match self {
            Self::SigningKey => LIST_SIGNING_KEYS,
            Self::Seed => LIST_SEEDS,
            Self::PlaygroundSecret => LIST_PLAYGROUND_SECRETS,
            Self::AuditKey => LIST_AUDIT_KEYS,
            Self::MacKeys => LIST_MAC_KEYS,
        }
    }

    fn resealing(self) -> &'static str {
        match self {
            Self::SigningKey => RESEAL_SIGNING_KEY,
            Self::Seed => RESEAL_SEED,
            Self::PlaygroundSecret => RESEAL_PLAYGROUND_SECRET,
            Self::AuditKey => RESEAL_AUDIT_KEY,
            Self::MacKeys => RESEAL_MAC_KEYS,
        }
    }
}

/// A sealed value and its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedValue {
    /// Its kind.
    pub kind: SealedKind,
    /// The key of its row, as text.
    pub row: String,
    /// The value.
    pub sealed: Vec<u8>,
}

impl Change {
    /// Lists every sealed value.
    pub async fn list_sealed(&mut self) -> Result<Vec<SealedValue>, StoreError> {
        let mut all = Vec::new();
        for kind in SealedKind::ALL {
            for row in sqlx::query(kind.listing()).fetch_all(&mut *self.transaction).await? {
                all.push(SealedValue { kind, row: row.try_get(0)?, sealed: row.try_get(1)? });
            }
        }
        Ok(all)
    }

    /// Replaces a sealed value.
    pub async fn reseal(&mut self, value: SealedValue) -> Result<(), StoreError> {
        let update = sqlx::query(value.kind.resealing()).bind(value.sealed).bind(value.row);
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Sets another sealing key, and keeps what is needed of the previous one.
    pub async fn replace_sealing_key(&mut self, key: PreviousSealingKey, check: &str) -> Result<(), StoreError> {
        let insert = sqlx::query(INSERT_PREVIOUS).bind(key.last_audit_sequence).bind(self.now);
        let insert = insert.bind(key.sealed_audit_key).bind(key.sealed_mac_keys);
        insert.execute(&mut *self.transaction).await?;
        self.set_setting(SEALING_KEY_CHECK, check).await
    }

    /// Lists the MACs of names that have failures.
    pub async fn list_failed_names(&mut self) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = sqlx::query(LIST_FAILED_NAMES).fetch_all(&mut *self.transaction).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Moves the failures of a name to another MAC.
    pub async fn rename_failures(&mut self, name_mac: &[u8], to: &[u8]) -> Result<(), StoreError> {
        let rename = sqlx::query(RENAME_FAILURES).bind(to.to_vec()).bind(name_mac.to_vec());
        rename.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Deletes the MAC keys, except audit keys, of every sealing key that was replaced before this time.
    pub async fn forget_mac_keys(&mut self, ended_before: UnixTime) -> Result<(), StoreError> {
        sqlx::query(FORGET_MAC_KEYS).bind(ended_before).execute(&mut *self.transaction).await?;
        Ok(())
    }
}

impl Store {
    /// True if a sealing key that was replaced before this time still has MAC keys other than its audit key.
    pub async fn has_mac_keys(&self, ended_before: UnixTime) -> Result<bool, StoreError> {
        let found = sqlx::query(FIND_OLD_MAC_KEYS).bind(ended_before).fetch_optional(self.reader()).await?;
        Ok(found.is_some())
    }
}

/// Loads the sealing keys from this snapshot.
pub(crate) async fn load(connection: &mut AnyConnection) -> Result<StoredSealingKeys, StoreError> {
    let find = sqlx::query(FIND_CHECK).bind(SEALING_KEY_CHECK).fetch_optional(&mut *connection);
    let check = in_time("the sealing key's check", find).await?.map(|row| row.try_get(0)).transpose()?;
    let read = |row: &AnyRow| {
        Ok(PreviousSealingKey {
            last_audit_sequence: row.try_get(0)?,
            sealed_audit_key: row.try_get(1)?,
            sealed_mac_keys: row.try_get(2)?,
        })
    };
    let rows = read_rows(connection, LIST_PREVIOUS, "previous sealing keys").await?;
    Ok(StoredSealingKeys { check, previous: rows.iter().map(read).collect::<Result<_, StoreError>>()? })
}
