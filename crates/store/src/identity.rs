//! Identifies a database, so that a data directory can tell it from an empty one and from any other.

use sqlx::Row;

use crate::changes::Change;
use crate::database::Store;
use crate::database::identity::FIND_ID;
use crate::error::StoreError;
use crate::statement::statements;

statements! {
    CLAIM_ID = "INSERT INTO identity (one, id) VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET id = identity.id \
         RETURNING id";
    RENEW_ID = "INSERT INTO identity (one, id) VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET id = excluded.id";
}

impl Store {
    /// Returns the ID of the database. `None` until a version that creates one has started.
    pub async fn find_database_id(&self) -> Result<Option<String>, StoreError> {
        if !self.has_table("identity").await? {
            return Ok(None);
        }
        let row = sqlx::query(FIND_ID).fetch_optional(self.reader()).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Returns the ID of the database, which becomes `new` if it has none. Nodes that do so at once get the same ID. From
    /// now on, this store does not use a database with another ID.
    pub async fn claim_database_id(&self, new: &str) -> Result<String, StoreError> {
        let id = self.find_or_create_id(new).await?;
        self.identity().expect(&id);
        Ok(id)
    }

    async fn find_or_create_id(&self, new: &str) -> Result<String, StoreError> {
        if let Some(known) = self.find_database_id().await? {
            return Ok(known);
        }
        let mut transaction = self.begin_write().await?;
        let row = sqlx::query(CLAIM_ID).bind(new.to_owned()).fetch_one(&mut *transaction).await?;
        let id = row.try_get(0)?;
        transaction.commit().await?;
        Ok(id)
    }
}

impl Change {
    /// Gives a copy its own ID.
    pub async fn renew_database_id(&mut self, id: &str) -> Result<(), StoreError> {
        sqlx::query(RENEW_ID).bind(id.to_owned()).execute(&mut *self.transaction).await?;
        Ok(())
    }
}
