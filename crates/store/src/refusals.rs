//! Refused requests: some of each kind in full, the others as counts. The oldest are deleted.

use std::borrow::Cow;
use std::sync::Arc;

use countersign_protocol::UnixTime;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::database::Store;
use crate::error::StoreError;
use crate::statement::statements;
use crate::transaction::transact;

statements! {
    INSERT = "INSERT INTO refusals (request_id, at, endpoint, client_id, address, error, reason, remedy, presented) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (request_id) DO NOTHING";
    ADD_COUNT = "INSERT INTO refusal_counts (minute, client_id, name, refusals) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (minute, client_id, name) DO UPDATE SET refusals = refusal_counts.refusals + excluded.refusals";
    FIND = "SELECT request_id, at, endpoint, client_id, address, error, reason, remedy, presented \
         FROM refusals WHERE request_id = $1";
    LIST = "SELECT request_id, at, endpoint, client_id, address, error, reason, remedy, presented \
         FROM refusals ORDER BY at DESC, request_id LIMIT $1";
    LIST_OF_CLIENT = "SELECT request_id, at, endpoint, client_id, address, error, reason, remedy, presented \
         FROM refusals WHERE client_id = $1 ORDER BY at DESC, request_id LIMIT $2";
    LIST_COUNTS = "SELECT minute, client_id, name, refusals FROM refusal_counts WHERE minute >= $1 \
         ORDER BY minute DESC, client_id, name LIMIT $2";
    DELETE_OLD = "DELETE FROM refusals WHERE at < $1";
    DELETE_OLD_COUNTS = "DELETE FROM refusal_counts WHERE minute < $1";
    FIND_AGE = "SELECT at FROM refusals ORDER BY at DESC LIMIT 1 OFFSET $1";
}

/// A stored refusal. It contains no secrets, and no text from the caller that could be one.
#[derive(Clone, Debug)]
pub struct StoredRefusal {
    /// The `X-Request-Id` of the response.
    pub request_id: String,
    /// When the request was refused.
    pub at: UnixTime,
    /// The endpoint.
    pub endpoint: Cow<'static, str>,
    /// The client, if it was identified.
    pub client_id: Option<String>,
    /// The caller's address.
    pub address: String,
    /// The `error` in the response.
    pub error: Cow<'static, str>,
    /// The exact reason.
    pub reason: String,
    /// How to fix it.
    pub remedy: Cow<'static, str>,
    /// What the caller presented, in JSON.
    pub presented: Cow<'static, str>,
}

/// The refusals of one kind in one minute that are not stored in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalCount {
    /// The minute's first second.
    pub minute: UnixTime,
    /// The client. Empty for all unknown clients.
    pub client_id: String,
    /// The name of the reason.
    pub name: String,
    /// The number of refusals.
    pub count: i64,
}

impl Store {
    /// Adds refusals and counts, both sorted by key, because nodes add to the same rows.
    pub async fn add_refusals(
        &self,
        refusals: &[Arc<StoredRefusal>],
        counts: &[RefusalCount],
    ) -> Result<(), StoreError> {
        let mut refusals: Vec<&StoredRefusal> = refusals.iter().map(AsRef::as_ref).collect();
        refusals.sort_unstable_by(|one, other| one.request_id.cmp(&other.request_id));
        let mut counts: Vec<&RefusalCount> = counts.iter().collect();
        counts.sort_unstable_by_key(|one| (one.minute, &one.client_id, &one.name));
        transact!(self, |transaction| {
            for one in &refusals {
                sqlx::query(INSERT)
                    .bind(one.request_id.as_str())
                    .bind(one.at)
                    .bind(one.endpoint.as_ref())
                    .bind(one.client_id.clone())
                    .bind(one.address.as_str())
                    .bind(one.error.as_ref())
                    .bind(one.reason.as_str())
                    .bind(one.remedy.as_ref())
                    .bind(one.presented.as_ref())
                    .execute(&mut **transaction)
                    .await?;
            }
            for one in &counts {
                let add = sqlx::query(ADD_COUNT).bind(one.minute).bind(one.client_id.as_str()).bind(one.name.as_str());
                add.bind(one.count).execute(&mut **transaction).await?;
            }
            Ok(())
        })
    }

    /// Finds the refusal of a request.
    pub async fn find_refusal(&self, request_id: &str) -> Result<Option<StoredRefusal>, StoreError> {
        let query = sqlx::query(FIND).bind(request_id.to_owned());
        query.fetch_optional(self.reader()).await?.as_ref().map(read).transpose()
    }

    /// Lists the last refusals of one client or of all, newest first.
    pub async fn list_refusals(&self, client_id: Option<&str>, limit: i64) -> Result<Vec<StoredRefusal>, StoreError> {
        let query = match client_id {
            Some(client_id) => sqlx::query(LIST_OF_CLIENT).bind(client_id.to_owned()).bind(limit),
            None => sqlx::query(LIST).bind(limit),
        };
        query.fetch_all(self.reader()).await?.iter().map(read).collect()
    }

    /// Lists the counts since a time, newest first.
    pub async fn list_refusal_counts(&self, since: UnixTime, limit: i64) -> Result<Vec<RefusalCount>, StoreError> {
        let rows = sqlx::query(LIST_COUNTS).bind(since).bind(limit).fetch_all(self.reader()).await?;
        let count = |row: &AnyRow| {
            Ok(RefusalCount {
                minute: row.try_get(0)?,
                client_id: row.try_get(1)?,
                name: row.try_get(2)?,
                count: row.try_get(3)?,
            })
        };
        rows.iter().map(count).collect()
    }

    /// Deletes refusals and counts older than `before`, and all but the last `most` refusals. Returns their number.
    pub async fn delete_old_refusals(&self, before: UnixTime, most: i64) -> Result<u64, StoreError> {
        let age = sqlx::query(FIND_AGE).bind(most).fetch_optional(self.reader()).await?;
        let before_most = age.map(|row| row.try_get::<i64, _>(0)).transpose()?.unwrap_or(before).max(before);
        let deleted = self.execute(DELETE_OLD, &[before_most]).await?;
        Ok(deleted + self.execute(DELETE_OLD_COUNTS, &[before]).await?)
    }
}

fn read(row: &AnyRow) -> Result<StoredRefusal, StoreError> {
    let text = |column: usize| row.try_get::<String, _>(column).map(Cow::Owned);
    Ok(StoredRefusal {
        request_id: row.try_get(0)?,
        at: row.try_get(1)?,
        endpoint: text(2)?,
        client_id: row.try_get(3)?,
        address: row.try_get(4)?,
        error: text(5)?,
        reason: row.try_get(6)?,
        remedy: text(7)?,
        presented: text(8)?,
    })
}
