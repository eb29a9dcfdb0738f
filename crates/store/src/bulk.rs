//! Inserts many clients at once, for benchmarks. Only their IDs differ.

use countersign_protocol::ids::ApiId;
use countersign_protocol::secret::SecretHash;

use crate::database::Store;
use crate::error::StoreError;
use crate::statement::statements;

statements! {
    INSERT_CLIENTS = "INSERT INTO clients (id, name, owner, auth_methods, status, epoch, created_change) \
         WITH RECURSIVE number (n) AS \
         (SELECT CAST($1 AS BIGINT) UNION ALL SELECT n + 1 FROM number WHERE n < CAST($2 AS BIGINT)) \
         SELECT 'alike-' || n, 'Service ' || n, 'team@example.com', 'client_secret_basic', 'active', 1, n FROM number";
    INSERT_CREDENTIALS = "INSERT INTO credentials (id, client_id, label, secret_hash, not_before, created_change) \
         WITH RECURSIVE number (n) AS \
         (SELECT CAST($1 AS BIGINT) UNION ALL SELECT n + 1 FROM number WHERE n < CAST($2 AS BIGINT)) \
         SELECT 'cred_' || CAST($3 AS TEXT) || '_' || n, 'alike-' || n, 'production', $4, 0, n FROM number";
    INSERT_ENTITLEMENTS = "INSERT INTO entitlements (client_id, api_id, kind, scopes, grants) \
         WITH RECURSIVE number (n) AS \
         (SELECT CAST($1 AS BIGINT) UNION ALL SELECT n + 1 FROM number WHERE n < CAST($2 AS BIGINT)) \
         SELECT 'alike-' || n, $3, 'ask', $4, 'client_credentials' FROM number";
}

impl Store {
    /// Inserts the clients `alike-FIRST` to `alike-LAST`, each with these secrets and these scopes of an API.
    pub async fn insert_alike(
        &self,
        (first, last): (i64, i64),
        secrets: &[SecretHash],
        api: &ApiId,
        scopes: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin_long_write().await?;
        sqlx::query(INSERT_CLIENTS).bind(first).bind(last).execute(&mut *transaction).await?;
        for (secret, number) in secrets.iter().zip(1_i64..) {
            let insert = sqlx::query(INSERT_CREDENTIALS).bind(first).bind(last).bind(number.to_string());
            insert.bind(secret.as_bytes().to_vec()).execute(&mut *transaction).await?;
        }
        let insert = sqlx::query(INSERT_ENTITLEMENTS).bind(first).bind(last).bind(api.as_str());
        insert.bind(scopes.to_owned()).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }
}
