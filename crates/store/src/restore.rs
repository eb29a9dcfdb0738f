//! Invalidates everything after a restore, because nobody knows what was issued or revoked since the backup.

use sqlx::Row;

use crate::changes::Change;
use crate::error::StoreError;
use crate::statement::statements;

/// More changes than can be lost, so that everything issued since the backup has a lower number.
const SKIPPED: i64 = 1_000_000;

statements! {
    SKIP_CHANGES = "UPDATE change_counter SET change = change + $1, registry_change = change + $2 WHERE id = 1 \
         RETURNING change";
    RAISE_CLIENTS = "UPDATE clients SET epoch = $1";
    RAISE_USERS = "UPDATE users SET epoch = $1";
    END_FAMILIES = "UPDATE refresh_families SET ended_at = $1 WHERE ended_at IS NULL";
    FORGET_KEYS =
        "UPDATE signing_keys SET state = 'retired', state_since = $1, sealed_pkcs8 = $2 WHERE state <> 'retired'";
    DELETE_SESSIONS = "DELETE FROM sessions";
    DELETE_SIGN_INS = "DELETE FROM sign_ins";
    DELETE_LEASES = "DELETE FROM leases";
}

impl Change {
    /// Invalidates everything ever issued: raises epochs, retires keys, ends refresh families and sessions. The number of this
    /// change jumps by a million.
    pub async fn end_everything(&mut self) -> Result<(), StoreError> {
        // This change has already raised the counter by one.
        let skip = sqlx::query(SKIP_CHANGES).bind(SKIPPED - 1).bind(SKIPPED - 1);
        self.number = skip.fetch_one(&mut *self.transaction).await?.try_get(0)?;
        for statement in [RAISE_CLIENTS, RAISE_USERS] {
            sqlx::query(statement).bind(self.number).execute(&mut *self.transaction).await?;
        }
        sqlx::query(END_FAMILIES).bind(self.now).execute(&mut *self.transaction).await?;
        sqlx::query(FORGET_KEYS).bind(self.now).bind(Vec::new()).execute(&mut *self.transaction).await?;
        for statement in [DELETE_SESSIONS, DELETE_SIGN_INS, DELETE_LEASES] {
            sqlx::query(statement).execute(&mut *self.transaction).await?;
        }
        Ok(())
    }
}
