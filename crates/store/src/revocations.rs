//! Revocations, which are kept as long as the tokens that they end.

use countersign_protocol::UnixTime;
use countersign_protocol::revocation::Revoked;
use futures_util::future::BoxFuture;
use sqlx::{Any, Row, Transaction};

use crate::changes::Change;
use crate::database::Store;
use crate::error::StoreError;
use crate::statement::statements;
use crate::write_queue::{SharedTransaction, SharedWrite};

statements! {
    INSERT_REVOCATION = "INSERT INTO revocations (kind, id, expires_at, change) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (kind, id) DO NOTHING";
    LOAD_AFTER = "SELECT kind, id, expires_at FROM revocations WHERE change > $1";
    DELETE_EXPIRED = "DELETE FROM revocations WHERE expires_at < $1";
}

/// A stored revocation.
#[derive(Clone, Debug)]
pub struct StoredRevocation {
    /// What is revoked.
    pub revoked: Revoked,
    /// When everything that it ends has expired anyway.
    pub expires_at: UnixTime,
}

impl Change {
    /// Revokes in this change. Returns false if it was already revoked.
    pub async fn revoke(&mut self, revoked: &Revoked, expires_at: UnixTime) -> Result<bool, StoreError> {
        insert_revocation(&mut self.transaction, self.number, revoked, expires_at).await
    }
}

impl Store {
    /// Revokes durably. Revoking again changes nothing.
    pub async fn revoke(&self, revoked: &Revoked, expires_at: UnixTime) -> Result<(), StoreError> {
        self.write(Revoke { revoked: revoked.clone(), expires_at }).await.map(drop)
    }

    /// Loads the revocations after a change.
    pub async fn load_revocations(&self, after: i64) -> Result<Vec<StoredRevocation>, StoreError> {
        let rows = sqlx::query(LOAD_AFTER).bind(after).fetch_all(self.follower()).await?;
        let mut revocations = Vec::with_capacity(rows.len());
        for row in rows {
            let (kind, id): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let revoked = Revoked::from_parts(&kind, id.clone());
            let revoked = revoked.ok_or(StoreError::Broken { table: "revocations", row: id })?;
            revocations.push(StoredRevocation { revoked, expires_at: row.try_get(2)? });
        }
        Ok(revocations)
    }

    /// Deletes the revocations that expired before `before`. Returns their number.
    pub async fn delete_expired_revocations(&self, before: UnixTime) -> Result<u64, StoreError> {
        self.execute(DELETE_EXPIRED, &[before]).await
    }
}

/// A revocation, kept until everything that it ends has expired.
#[derive(Debug)]
struct Revoke {
    revoked: Revoked,
    expires_at: UnixTime,
}

impl SharedWrite for Revoke {
    fn write<'a>(&'a self, shared: &'a mut SharedTransaction<'_>) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let change = shared.change().await?;
            insert_revocation(shared.transaction, change, &self.revoked, self.expires_at).await
        })
    }
}

/// Stores a revocation under the number of a change, in the caller's transaction. Returns false if it existed.
pub(crate) async fn insert_revocation(
    transaction: &mut Transaction<'static, Any>,
    change: i64,
    revoked: &Revoked,
    expires_at: UnixTime,
) -> Result<bool, StoreError> {
    let (kind, id) = revoked.parts();
    let insert = sqlx::query(INSERT_REVOCATION).bind(kind).bind(id.to_owned()).bind(expires_at).bind(change);
    Ok(insert.execute(&mut **transaction).await?.rows_affected() == 1)
}
