//! The settings of the playground: one row, saved whole, by version.

use sqlx::{AnyConnection, Row};

use crate::changes::Change;
use crate::error::StoreError;
use crate::statement::statements;

statements! {
    LOAD = "SELECT version, api_id, client_id, sealed_client_secret, scope FROM playground_settings WHERE id = 1";
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
    /// They are saved, under this version, once the change is committed.
    As(i64),
    /// Somebody saved others since: this is the version that stands, and the change must be dropped.
    Conflict(i64),
}

impl Change {
    /// Saves settings whole, if `settings.version` is the one that stands or `anyway`. To be committed if saved.
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

/// Reads the settings.
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
