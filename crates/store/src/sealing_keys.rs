//! Which sealing key everything is sealed with, what is left of those before it, and each value that is sealed.

use countersign_protocol::UnixTime;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::changes::Change;
use crate::database::Store;
use crate::error::StoreError;
use crate::reading::{in_time, read_rows};
use crate::statement::statements;

/// The setting by which a database knows its sealing key.
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

/// The sealing keys of a database, as of one moment.
#[derive(Clone, Debug, Default)]
pub struct StoredSealingKeys {
    /// By which the key in use is known; `None` before the first start has claimed the database.
    pub check: Option<String>,
    /// Those before it, the oldest first.
    pub previous: Vec<PreviousSealingKey>,
}

/// What is left of a sealing key that another one has replaced, sealed with the key in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousSealingKey {
    /// The last audit record that is chained by its audit key.
    pub last_audit_sequence: i64,
    /// Its audit key.
    pub sealed_audit_key: Vec<u8>,
    /// Its keys for other MACs; `None` when their time is over.
    pub sealed_mac_keys: Option<Vec<u8>>,
}

/// What kind of value is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedKind {
    /// A private key.
    SigningKey,
    /// The seed of a second factor.
    Seed,
    /// The client secret of the playground.
    PlaygroundSecret,
    /// Of a previous sealing key: its audit key.
    AuditKey,
    /// Of a previous sealing key: its keys for other MACs.
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

/// A sealed value, and the row that it lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedValue {
    /// Of which kind.
    pub kind: SealedKind,
    /// The key of its row, as text.
    pub row: String,
    /// The value.
    pub sealed: Vec<u8>,
}

impl Change {
    /// Every sealed value there is.
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

    /// Lets the database know another sealing key from now on, and keeps what is left of the one that ends.
    pub async fn replace_sealing_key(&mut self, key: PreviousSealingKey, check: &str) -> Result<(), StoreError> {
        let insert = sqlx::query(INSERT_PREVIOUS).bind(key.last_audit_sequence).bind(self.now);
        let insert = insert.bind(key.sealed_audit_key).bind(key.sealed_mac_keys);
        insert.execute(&mut *self.transaction).await?;
        self.set_setting(SEALING_KEY_CHECK, check).await
    }

    /// The MACs of names under which failures are counted.
    pub async fn list_failed_names(&mut self) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = sqlx::query(LIST_FAILED_NAMES).fetch_all(&mut *self.transaction).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// From now on the failures of a name are counted under another MAC.
    pub async fn rename_failures(&mut self, name_mac: &[u8], to: &[u8]) -> Result<(), StoreError> {
        let rename = sqlx::query(RENAME_FAILURES).bind(to.to_vec()).bind(name_mac.to_vec());
        rename.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Forgets the keys for MACs, but for audit keys, of every sealing key that ended before this.
    pub async fn forget_mac_keys(&mut self, ended_before: UnixTime) -> Result<(), StoreError> {
        sqlx::query(FORGET_MAC_KEYS).bind(ended_before).execute(&mut *self.transaction).await?;
        Ok(())
    }
}

impl Store {
    /// True if a sealing key that ended before this still has keys for MACs other than audit keys.
    pub async fn has_mac_keys(&self, ended_before: UnixTime) -> Result<bool, StoreError> {
        let found = sqlx::query(FIND_OLD_MAC_KEYS).bind(ended_before).fetch_optional(self.reader()).await?;
        Ok(found.is_some())
    }
}

/// The sealing keys as of this snapshot.
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
