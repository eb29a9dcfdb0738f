//! The audit log: written in the transaction of the change that it tells of, never altered.

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

/// Who changed what, before and after.
#[derive(Clone, Debug)]
pub struct NewAuditRecord {
    /// Its place in the log, from 1, without gaps.
    pub sequence: i64,
    /// When.
    pub at: UnixTime,
    /// Who.
    pub actor: String,
    /// From where.
    pub address: String,
    /// Under which request id.
    pub request_id: String,
    /// What was done, such as `client.create`.
    pub action: String,
    /// To what.
    pub target: String,
    /// As it was, in JSON, without secrets; none if it was not there.
    pub before: Option<String>,
    /// As it is; none if it is gone.
    pub after: Option<String>,
}

/// A record as it is stored.
#[derive(Clone, Debug)]
pub struct AuditRecord {
    /// What it says.
    pub said: NewAuditRecord,
    /// Its MAC.
    pub mac: Vec<u8>,
}

impl Change {
    /// The last record, after which the next one is written; no other change can write one meanwhile.
    pub async fn find_last_audit_record(&mut self) -> Result<Option<AuditRecord>, StoreError> {
        let row = sqlx::query(FIND_LAST).fetch_optional(&mut *self.transaction).await?;
        row.as_ref().map(read).transpose()
    }

    /// Writes a record.
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
    /// The records after `after`, the oldest first, at most `limit`.
    pub async fn list_audit_records(&self, after: i64, limit: i64) -> Result<Vec<AuditRecord>, StoreError> {
        let rows = sqlx::query(LIST).bind(after).bind(limit).fetch_all(self.reader()).await?;
        rows.iter().map(read).collect()
    }

    /// The last record.
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
