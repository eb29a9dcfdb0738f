//! When, how often and from where each credential was used.

use countersign_protocol::UnixTime;
use countersign_protocol::ids::ClientId;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use crate::database::Store;
use crate::error::StoreError;
use crate::statement::{BATCH_ROWS, placeholders, statements};
use crate::token_counts::{TokenCount, add_token_counts};
use crate::transaction::transact;

/// SQL before and after the rows `id, last_used_at, use_count, address`.
const ADD: [&str; 2] = [
    "INSERT INTO credential_uses (credential_id, last_used_at, use_count, address) \
     SELECT c.id, used.column2, used.column3, used.column4 FROM (VALUES ",
    ") AS used JOIN credentials c ON c.id = used.column1 WHERE TRUE \
     ON CONFLICT (credential_id) DO UPDATE SET \
     address = CASE WHEN excluded.last_used_at >= credential_uses.last_used_at \
         THEN excluded.address ELSE credential_uses.address END, \
     last_used_at = CASE WHEN excluded.last_used_at >= credential_uses.last_used_at \
         THEN excluded.last_used_at ELSE credential_uses.last_used_at END, \
     use_count = credential_uses.use_count + excluded.use_count",
];

statements! {
    LIST_ALL = "SELECT c.id, c.created_at, u.last_used_at, u.use_count, u.address, c.client_id FROM credentials c \
         LEFT JOIN credential_uses u ON u.credential_id = c.id ORDER BY c.created_change, c.id";
    LIST = "SELECT c.id, c.created_at, u.last_used_at, u.use_count, u.address FROM credentials c \
         LEFT JOIN credential_uses u ON u.credential_id = c.id WHERE c.client_id = $1 ORDER BY c.created_change, c.id";
}

/// The uses of one credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialUse {
    /// The credential.
    pub credential_id: String,
    /// When it was last used.
    pub last_used_at: UnixTime,
    /// The number of uses.
    pub count: i64,
    /// The address of the last use.
    pub address: String,
}

/// A credential's creation and uses.
#[derive(Clone, Debug)]
pub struct CredentialHistory {
    /// The credential.
    pub credential_id: String,
    /// When it was created. 0 if it is older than this column.
    pub created_at: UnixTime,
    /// Its uses. `None` if it was never used.
    pub uses: Option<CredentialUse>,
}

impl Store {
    /// Adds uses and token counts to the stored ones, all or nothing. Skips uses of deleted credentials.
    ///
    /// Both are sorted first: nodes that lock rows in the same order cannot deadlock, and SQLite finds neighboring rows on
    /// one page.
    pub async fn add_uses(&self, mut uses: Vec<CredentialUse>, mut tokens: Vec<TokenCount>) -> Result<(), StoreError> {
        uses.sort_unstable_by(|one, other| one.credential_id.cmp(&other.credential_id));
        tokens.sort_unstable();
        transact!(self, |transaction| {
            for batch in uses.chunks(BATCH_ROWS) {
                let mut query = sqlx::query(AssertSqlSafe(ADD.join(&placeholders(batch.len(), 4))));
                for one in batch {
                    query = query.bind(one.credential_id.as_str()).bind(one.last_used_at);
                    query = query.bind(one.count).bind(one.address.as_str());
                }
                query.persistent(batch.len() == BATCH_ROWS).execute(&mut **transaction).await?;
            }
            add_token_counts(transaction, &tokens).await
        })
    }

    /// Lists the credentials of a client, oldest first.
    pub async fn list_credential_histories(&self, client: &ClientId) -> Result<Vec<CredentialHistory>, StoreError> {
        let rows = sqlx::query(LIST).bind(client.as_str()).fetch_all(self.reader()).await?;
        rows.iter().map(read).collect()
    }

    /// Lists every credential with its client, oldest first.
    pub async fn list_all_credential_histories(&self) -> Result<Vec<(String, CredentialHistory)>, StoreError> {
        let rows = sqlx::query(LIST_ALL).fetch_all(self.reader()).await?;
        rows.iter().map(|row| Ok((row.try_get(5)?, read(row)?))).collect()
    }
}

fn read(row: &AnyRow) -> Result<CredentialHistory, StoreError> {
    let credential_id: String = row.try_get(0)?;
    let uses = match row.try_get::<Option<i64>, _>(2)? {
        Some(last_used_at) => Some(CredentialUse {
            credential_id: credential_id.clone(),
            last_used_at,
            count: row.try_get(3)?,
            address: row.try_get(4)?,
        }),
        None => None,
    };
    Ok(CredentialHistory { credential_id, created_at: row.try_get(1)?, uses })
}
