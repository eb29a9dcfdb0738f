//! The settings of the playground: one row, saved as a whole, with a version.

use sqlx::{AnyConnection, Row};

use crate::changes::Change;
use crate::error::StoreError;
use crate::statement::statements;

statements! {
    LOAD = "SELECT version, api_id, client_id, sealed_client_secret, scope FROM playground_settings WHERE id = 1";
    SAVE = "UPDATE playground_settings SET version = version + 1, api_id = $1, client_id = $2, \
         sealed_client_secret = COALESCE($3, sealed_client_secret), scope = $4 WHERE id = 1 RETURNING version";
}

/// The stored settings.
#[derive(Clone, Debug, Default)]
pub struct PlaygroundSettings {
    /// The number of saves.
    pub version: i64,
    /// The API to request tokens for.
    pub api_id: String,
    /// The client that requests them.
    pub client_id: String,
    /// The sealed client secret. When saving, `None` keeps the stored one.
    pub sealed_client_secret: Option<Vec<u8>>,
    /// The scopes to request, separated by spaces.
    pub scope: String,
}

/// The result of a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// Saved with this version, once the change is committed.
    As(i64),
    /// Someone else saved version N since. The change must be dropped.
    Conflict(i64),
}

impl Change {
    /// Saves all settings if `settings.version` is current, or if `anyway` is set. The caller commits.
    pub async fn save_playground_settings(
        &mut self,
        settings: &PlaygroundSettings,
        anyway: bool,
    ) -> Result<Saved, StoreError> {
        let row = sqlx::query(SAVE)
            .bind(settings.api_id.as_str())
            .bind(settings.client_id.as_str())
            .bind(settings.sealed_client_secret.clone())
            .bind(settings.scope.as_str())
            .fetch_one(&mut *self.transaction)
            .await?;
        let version: i64 = row.try_get(0)?;
        let is_expected = anyway || version - 1 == settings.version;
        Ok(if is_expected { Saved::As(version) } else { Saved::Conflict(version - 1) })
    }
}

/// Loads the settings.
pub(crate) async fn load(connection: &mut AnyConnection) -> Result<PlaygroundSettings, StoreError> {
    let row = sqlx::query(LOAD).fetch_one(&mut *connection).await?;
    Ok(PlaygroundSettings {
        version: row.try_get(0)?,
        api_id: row.try_get(1)?,
        client_id: row.try_get(2)?,
        sealed_client_secret: row.try_get(3)?,
        scope: row.try_get(4)?,
    })
}
