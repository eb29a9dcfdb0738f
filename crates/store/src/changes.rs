//! The change counter: how every node learns of every change within a second.

use countersign_protocol::UnixTime;
use sqlx::{Any, Row, Transaction};

use crate::database::Store;
use crate::error::StoreError;
use crate::removals::TouchedRights;
use crate::statement::statements;
use crate::transaction::transact;

statements! {
    RAISE_BOTH =
        "UPDATE change_counter SET change = change + 1, registry_change = change + 1 WHERE id = 1 RETURNING change";
    RAISE_CHANGE = "UPDATE change_counter SET change = change + 1 WHERE id = 1 RETURNING change";
    FIND_OLD_DELETION = "SELECT 1 FROM deletions WHERE deleted_at < $1 LIMIT 1";
    FORGET_UP_TO = "UPDATE change_counter SET forgotten_change = \
         (SELECT CAST(MAX(change) AS BIGINT) FROM deletions WHERE deleted_at < $1) WHERE id = 1";
    DELETE_DELETIONS = "DELETE FROM deletions WHERE deleted_at < $1";
    READ_COUNTERS = "SELECT change, registry_change FROM change_counter WHERE id = 1";
}

/// How far the database has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// The last change of any kind.
    pub change: i64,
    /// The last change of what the registry holds.
    pub registry_change: i64,
}

/// A transaction that changes what the registry holds. Dropped without [`Change::commit`], it changes nothing.
#[derive(Debug)]
pub struct Change {
    pub(crate) transaction: Transaction<'static, Any>,
    pub(crate) number: i64,
    pub(crate) now: UnixTime,
    pub(crate) rights: TouchedRights,
}

impl Change {
    /// The number of this change: the epoch of whatever it creates or raises. Those after it, up to the commit, are of this change
    /// too: on SQLite each row that it touches raises the counters.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Makes the change durable, with a removal for each right that it took away.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.store_removals().await?;
        Ok(self.transaction.commit().await?)
    }
}

impl Store {
    /// Begins a change at `now`; the row lock that it takes orders all changes.
    pub async fn begin_change(&self, now: UnixTime) -> Result<Change, StoreError> {
        let mut transaction = self.begin_write().await?;
        let row = sqlx::query(RAISE_BOTH).fetch_one(&mut *transaction).await?;
        Ok(Change { number: row.try_get(0)?, transaction, now, rights: TouchedRights::default() })
    }

    /// Begins what is audited and changes nothing that the registry holds. It takes the same lock as [`Store::begin_change`],
    /// and makes no node load its registry again.
    pub async fn begin_event(&self, now: UnixTime) -> Result<Change, StoreError> {
        let mut transaction = self.begin_write().await?;
        let number = raise_change(&mut transaction).await?;
        Ok(Change { number, transaction, now, rights: TouchedRights::default() })
    }

    /// Forgets what was deleted before a moment; returns how many rows. A node that has read nothing since loads everything.
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

    /// How far the database has come.
    pub async fn read_counters(&self) -> Result<Counters, StoreError> {
        let row = sqlx::query(READ_COUNTERS).fetch_one(self.follower()).await?;
        Ok(Counters { change: row.try_get(0)?, registry_change: row.try_get(1)? })
    }
}

/// Counts a revocation; returns the number of the change.
pub(crate) async fn raise_change(transaction: &mut Transaction<'static, Any>) -> Result<i64, StoreError> {
    Ok(sqlx::query(RAISE_CHANGE).fetch_one(&mut **transaction).await?.try_get(0)?)
}
