//! Issued tokens by hour, client, credential, API and grant.

use countersign_protocol::UnixTime;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use crate::database::Store;
use crate::error::StoreError;
use crate::statement::{BATCH_ROWS, placeholders, statements};

/// SQL before and after the rows.
const ADD: [&str; 2] = [
    "INSERT INTO token_counts (hour, client_id, credential_id, api_id, grant_type, tokens) VALUES ",
    " ON CONFLICT (hour, client_id, credential_id, api_id, grant_type) \
     DO UPDATE SET tokens = token_counts.tokens + excluded.tokens",
];

statements! {
    LIST = "SELECT hour, client_id, credential_id, api_id, grant_type, tokens FROM token_counts \
         WHERE hour >= $1 AND hour < $2 ORDER BY hour, client_id, credential_id, api_id, grant_type LIMIT $3 OFFSET $4";
    LIST_OF_CLIENT = "SELECT hour, client_id, credential_id, api_id, grant_type, tokens FROM token_counts \
         WHERE client_id = $1 AND hour >= $2 AND hour < $3 \
         ORDER BY hour, client_id, credential_id, api_id, grant_type LIMIT $4 OFFSET $5";
    LAST_BY_ENTITLEMENT = "SELECT e.client_id, e.api_id, e.given_at, (SELECT MAX(t.hour) FROM token_counts t \
         WHERE t.client_id = e.client_id AND t.api_id = e.api_id) FROM entitlements e WHERE e.kind = 'ask'";
    DELETE_OLD = "DELETE FROM token_counts WHERE hour < $1";
}

/// When an entitlement was last used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntitlementUse {
    /// The client.
    pub client_id: String,
    /// The API.
    pub api_id: String,
    /// When it was last changed. 0 if it is older than this column.
    pub given_at: UnixTime,
    /// The last hour in which a token was issued for it.
    pub last_hour: Option<UnixTime>,
}

/// Tokens of one hour, client, credential, API and grant, in the order of the table's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenCount {
    /// The hour's first second.
    pub hour: UnixTime,
    /// The client.
    pub client_id: String,
    /// The client's credential.
    pub credential_id: String,
    /// The API.
    pub api_id: String,
    /// The grant type.
    pub grant_type: String,
    /// The number of tokens.
    pub tokens: i64,
}

/// A query for counts.
#[derive(Clone, Debug)]
pub struct TokenCountQuery<'q> {
    /// One client, or all.
    pub client_id: Option<&'q str>,
    /// The first hour.
    pub from: UnixTime,
    /// The hour after the last one.
    pub to: UnixTime,
    /// The largest number of rows.
    pub limit: i64,
    /// The number of rows to skip.
    pub offset: i64,
}

impl Store {
    /// Lists the matching counts, oldest first.
    pub async fn list_token_counts(&self, wanted: &TokenCountQuery<'_>) -> Result<Vec<TokenCount>, StoreError> {
        let query = match wanted.client_id {
            Some(client_id) => sqlx::query(LIST_OF_CLIENT).bind(client_id.to_owned()),
            None => sqlx::query(LIST),
        };
        let query = query.bind(wanted.from).bind(wanted.to).bind(wanted.limit).bind(wanted.offset);
        query.fetch_all(self.reader()).await?.iter().map(read).collect()
    }

    /// Lists the last use of every entitlement to request tokens.
    pub async fn list_entitlement_uses(&self) -> Result<Vec<EntitlementUse>, StoreError> {
        let rows = sqlx::query(LAST_BY_ENTITLEMENT).fetch_all(self.reader()).await?;
        let read = |row: &AnyRow| {
            Ok(EntitlementUse {
                client_id: row.try_get(0)?,
                api_id: row.try_get(1)?,
                given_at: row.try_get(2)?,
                last_hour: row.try_get(3)?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Deletes the counts of hours before `before`. Returns their number.
    pub async fn delete_old_token_counts(&self, before: UnixTime) -> Result<u64, StoreError> {
        self.execute(DELETE_OLD, &[before]).await
    }
}

/// Adds sorted counts to the stored ones, in the caller's transaction.
pub(crate) async fn add_token_counts(
    transaction: &mut Transaction<'static, Any>,
    counts: &[TokenCount],
) -> Result<(), StoreError> {
    for batch in counts.chunks(BATCH_ROWS) {
        let mut query = sqlx::query(AssertSqlSafe(ADD.join(&placeholders(batch.len(), 6))));
        for one in batch {
            query = query.bind(one.hour).bind(one.client_id.as_str()).bind(one.credential_id.as_str());
            query = query.bind(one.api_id.as_str()).bind(one.grant_type.as_str()).bind(one.tokens);
        }
        query.persistent(batch.len() == BATCH_ROWS).execute(&mut **transaction).await?;
    }
    Ok(())
}

fn read(row: &AnyRow) -> Result<TokenCount, StoreError> {
    Ok(TokenCount {
        hour: row.try_get(0)?,
        client_id: row.try_get(1)?,
        credential_id: row.try_get(2)?,
        api_id: row.try_get(3)?,
        grant_type: row.try_get(4)?,
        tokens: row.try_get(5)?,
    })
}
