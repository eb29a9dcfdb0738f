//! The audit log. A record is written in the transaction of its change, and never updated.

use countersign_protocol::UnixTime;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::changes::Change;
use crate::database::Store;
use crate::error::StoreError;
use crate::statement::statements;

statements! {
    INSERT = "INSERT INTO audit (sequence, at, actor, address, request_id, action, target, before_json, after_json, mac) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    FIND_LAST = "SELECT sequence, at, actor, address, request_id, action, target, before_json, after_json, mac \
         FROM audit ORDER BY sequence DESC LIMIT 1";
    LIST = "SELECT sequence, at, actor, address, request_id, action, target, before_json, after_json, mac \
         FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2";
}

/// An audit record: who changed what, with the values before and after.
#[derive(Clone, Debug)]
pub struct NewAuditRecord {
    /// Its position in the log, from 1, without gaps.
    pub sequence: i64,
    /// When the change was made.
    pub at: UnixTime,
    /// Who made the change.
    pub actor: String,
    /// The caller's address.
    pub address: String,
    /// The request ID.
    pub request_id: String,
    /// The action, such as `client.create`.
    pub action: String,
    /// What was changed.
    pub target: String,
    /// The JSON before the change, without secrets. `None` for a creation.
    pub before: Option<String>,
    /// The JSON after the change. `None` for a deletion.
    pub after: Option<String>,
}

/// A stored record.
#[derive(Clone, Debug)]
pub struct AuditRecord {
    /// The record.
    pub said: NewAuditRecord,
    /// Its MAC.
    pub mac: Vec<u8>,
}

impl Change {
    /// Returns the last record. Until this change ends, no other change can write one.
    pub async fn find_last_audit_record(&mut self) -> Result<Option<AuditRecord>, StoreError> {
        let row = sqlx::query(FIND_LAST).fetch_optional(&mut *self.transaction).await?;
        row.as_ref().map(read).transpose()
    }

    /// Inserts a record.
    pub async fn insert_audit_record(&mut self, record: &AuditRecord) -> Result<(), StoreError> {
        let said = &record.said;
        sqlx::query(INSERT)
            .bind(said.sequence)
            .bind(said.at)
            .bind(said.actor.as_str())
            .bind(said.address.as_str())
            .bind(said.request_id.as_str())
            .bind(said.action.as_str())
            .bind(said.target.as_str())
            .bind(said.before.clone())
            .bind(said.after.clone())
            .bind(record.mac.clone())
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }
}

impl Store {
    /// Lists at most `limit` records after `after`, oldest first.
    pub async fn list_audit_records(&self, after: i64, limit: i64) -> Result<Vec<AuditRecord>, StoreError> {
        let rows = sqlx::query(LIST).bind(after).bind(limit).fetch_all(self.reader()).await?;
        rows.iter().map(read).collect()
    }

    /// Returns the last record.
    pub async fn find_last_audit_record(&self) -> Result<Option<AuditRecord>, StoreError> {
        let row = sqlx::query(FIND_LAST).fetch_optional(self.reader()).await?;
        row.as_ref().map(read).transpose()
    }
}

fn read(row: &AnyRow) -> Result<AuditRecord, StoreError> {
    let said = NewAuditRecord {
        sequence: row.try_get(0)?,
        at: row.try_get(1)?,
        actor: row.try_get(2)?,
        address: row.try_get(3)?,
        request_id: row.try_get(4)?,
        action: row.try_get(5)?,
        target: row.try_get(6)?,
        before: row.try_get(7)?,
        after: row.try_get(8)?,
    };
    Ok(AuditRecord { said, mac: row.try_get(9)? })
}
