//! The settings of the playground: one row, saved whole, by version.

use sqlx::Row;

use crate::database::Store;
use crate::error::StoreError;
use crate::statement::statements;

statements! {
    FIND = "SELECT version, api_id, client_id, sealed_client_secret, scope FROM playground_settings WHERE id = 1";
    SAVE = "UPDATE playground_settings SET version = version + 1, api_id = $1, client_id = $2, \
         sealed_client_secret = COALESCE($3, sealed_client_secret), scope = $4 WHERE id = 1 RETURNING version";
}

/// The settings as they are stored.
#[derive(Clone, Debug, Default)]
pub struct PlaygroundSettings {
    /// How often they were saved.
    pub version: i64,
    /// The Api that tokens are asked for.
    pub api_id: String,
    /// The client that asks.
    pub client_id: String,
    /// Its secret, sealed; in a save, `None` keeps what is stored.
    pub sealed_client_secret: Option<Vec<u8>>,
    /// The scopes asked for, separated by one space.
    pub scope: String,
}

/// What came of saving settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// They are saved, under this version.
    As(i64),
    /// Somebody saved others since; this is the version that stands.
    Conflict(i64),
}

impl Store {
    /// The settings that stand.
    pub async fn find_playground_settings(&self) -> Result<PlaygroundSettings, StoreError> {
        let row = sqlx::query(FIND).fetch_one(self.reader()).await?;
        Ok(PlaygroundSettings {
            version: row.try_get(0)?,
            api_id: row.try_get(1)?,
            client_id: row.try_get(2)?,
            sealed_client_secret: row.try_get(3)?,
            scope: row.try_get(4)?,
        })
    }

    /// Saves settings whole, if `settings.version` is the one that stands or `anyway`.
    pub async fn save_playground_settings(
        &self,
        settings: &PlaygroundSettings,
        anyway: bool,
    ) -> Result<Saved, StoreError> {
        let mut transaction = self.begin_write().await?;
        let row = sqlx::query(SAVE)
            .bind(settings.api_id.as_str())
            .bind(settings.client_id.as_str())
            .bind(settings.sealed_client_secret.clone())
            .bind(settings.scope.as_str())
            .fetch_one(&mut *transaction)
            .await?;
        let version: i64 = row.try_get(0)?;
        if version - 1 != settings.version && !anyway {
            return Ok(Saved::Conflict(version - 1));
        }
        transaction.commit().await?;
        Ok(Saved::As(version))
    }
}
