//! Changes: transactions that raise the change counter, and the cleanup of old deletions and removals.

use countersign_protocol::UnixTime;
use sqlx::{Any, Row, Transaction};

use crate::change_counter::{Counters, raise_both, raise_change};
use crate::database::Store;
use crate::error::StoreError;
use crate::removals::{self, TouchedRights};
use crate::statement::statements;
use crate::transaction::transact;

statements! {
    FIND_OLD_DELETION = "SELECT 1 FROM deletions WHERE deleted_at < $1 LIMIT 1";
    FORGET_UP_TO = "UPDATE change_counter SET forgotten_change = \
         (SELECT CAST(MAX(change) AS BIGINT) FROM deletions WHERE deleted_at < $1) WHERE id = 1";
    DELETE_DELETIONS = "DELETE FROM deletions WHERE deleted_at < $1";
    FIND_EXPIRED_REMOVAL = "SELECT 1 FROM removals WHERE expires_at < $1 LIMIT 1";
    DELETE_EXPIRED_REMOVALS = "DELETE FROM removals WHERE expires_at < $1";
    READ_COUNTERS = "SELECT change, registry_change FROM change_counter WHERE id = 1";
    FOLLOW_COUNTERS = "SELECT change, registry_change, (SELECT id FROM identity WHERE one = 1) FROM change_counter \
         WHERE id = 1";
}

/// A transaction that changes the registry. Dropping it without [`Change::commit`] rolls it back.
#[derive(Debug)]
pub struct Change {
    pub(crate) transaction: Transaction<'static, Any>,
    pub(crate) number: i64,
    pub(crate) now: UnixTime,
    pub(crate) rights: TouchedRights,
}

impl Change {
    /// The number of this change, which is the epoch of everything it creates or raises. Later numbers until the commit
    /// also belong to this change: on SQLite, every row that it changes raises the counters.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Commits durably, with a removal for each right that was taken away.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        removals::store(&mut self.transaction, self.rights, self.number, self.now).await?;
        Ok(self.transaction.commit().await?)
    }
}

impl Store {
    /// Begins a change at `now`. Its row lock serializes all changes.
    pub async fn begin_change(&self, now: UnixTime) -> Result<Change, StoreError> {
        let mut transaction = self.begin_write().await?;
        let number = raise_both(&mut transaction).await?;
        Ok(Change { number, transaction, now, rights: TouchedRights::default() })
    }

    /// Begins a change that is audited but does not affect the registry. It takes the same lock as [`Store::begin_change`],
    /// but no node reloads anything.
    pub async fn begin_event(&self, now: UnixTime) -> Result<Change, StoreError> {
        let mut transaction = self.begin_write().await?;
        let number = raise_change(&mut transaction).await?;
        Ok(Change { number, transaction, now, rights: TouchedRights::default() })
    }

    /// Forgets deletions from before a time and returns their number. A node that last read before then loads everything.
    pub async fn forget_deletions(&self, before: UnixTime) -> Result<u64, StoreError> {
        if sqlx::query(FIND_OLD_DELETION).bind(before).fetch_optional(self.reader()).await?.is_none() {
            return Ok(0);
        }
        transact!(self, |transaction| {
            sqlx::query(FORGET_UP_TO).bind(before).execute(&mut **transaction).await?;
            let deleted = sqlx::query(DELETE_DELETIONS).bind(before).execute(&mut **transaction).await?;
            Ok(deleted.rows_affected())
        })
    }

    /// Deletes removals that no valid token can need after `before`. Returns their number.
    pub async fn delete_expired_removals(&self, before: UnixTime) -> Result<u64, StoreError> {
        if sqlx::query(FIND_EXPIRED_REMOVAL).bind(before).fetch_optional(self.reader()).await?.is_none() {
            return Ok(0);
        }
        let mut change = self.begin_change(before).await?;
        let deleted = sqlx::query(DELETE_EXPIRED_REMOVALS).bind(before).execute(&mut *change.transaction).await?;
        change.commit().await?;
        Ok(deleted.rows_affected())
    }

    /// Reads the change counters.
    pub async fn read_counters(&self) -> Result<Counters, StoreError> {
        let row = sqlx::query(READ_COUNTERS).fetch_one(self.follower()).await?;
        Ok(Counters { change: row.try_get(0)?, registry_change: row.try_get(1)? })
    }

    /// Reads the change counters, if it is still the database with which the server was started.
    pub async fn follow_counters(&self) -> Result<Counters, StoreError> {
        let read = sqlx::query(FOLLOW_COUNTERS).fetch_one(self.follower()).await;
        // Otherwise, the error of a refused connection is only that there was none.
        let row = read.map_err(|error| self.identity().check_last().err().unwrap_or_else(|| error.into()))?;
        self.identity().check(row.try_get::<Option<String>, _>(2)?.as_deref())?;
        Ok(Counters { change: row.try_get(0)?, registry_change: row.try_get(1)? })
    }
}
