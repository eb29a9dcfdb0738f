//! Facts about the database itself, such as its sealing key.

use sqlx::{AnyConnection, Row};

use crate::changes::Change;
use crate::database::Store;
use crate::error::StoreError;
use crate::reading::in_time;
use crate::statement::statements;
use crate::transaction::transact;

/// Set on a database that was moved. Its value is the new location.
pub const MOVED_TO: &str = "moved_to";

statements! {
    TOUCH_KEYS = "UPDATE change_counter SET change = change + 1, registry_change = change + 1, keys_change = change + 1";
    FIND_SETTING = "SELECT value FROM settings WHERE name = $1";
    SET_SETTING = "INSERT INTO settings (name, value) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    CLAIM_SETTING = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    DELETE_SETTING = "DELETE FROM settings WHERE name = $1";
}

impl Change {
    /// Sets a setting, whatever its value was.
    pub async fn set_setting(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        let set = sqlx::query(SET_SETTING).bind(name.to_owned()).bind(value.to_owned());
        set.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Deletes a setting.
    pub async fn delete_setting(&mut self, name: &str) -> Result<(), StoreError> {
        sqlx::query(DELETE_SETTING).bind(name.to_owned()).execute(&mut *self.transaction).await?;
        Ok(())
    }
}

impl Store {
    /// Returns the value of a setting.
    pub async fn find_setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query(FIND_SETTING).bind(name.to_owned()).fetch_optional(self.reader()).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Sets a setting if it has no value. Returns its value, which another node may have set.
    pub async fn claim_setting(&self, name: &str, value: &str) -> Result<String, StoreError> {
        transact!(self, |transaction| {
            let claim = sqlx::query(CLAIM_SETTING).bind(name.to_owned()).bind(value.to_owned());
            claim.execute(&mut **transaction).await?;
            Ok(())
        })?;
        let standing = self.find_setting(name).await?;
        standing.ok_or(StoreError::Broken { table: "settings", row: name.to_owned() })
    }
}

/// Marks a database as moved.
pub(crate) async fn set_moved_to(connection: &mut AnyConnection, to: &str) -> Result<(), StoreError> {
    sqlx::query(SET_SETTING).bind(MOVED_TO).bind(to.to_owned()).execute(&mut *connection).await?;
    sqlx::query(TOUCH_KEYS).execute(connection).await?;
    Ok(())
}

/// Deletes that mark.
pub(crate) async fn delete_moved_to(connection: &mut AnyConnection) -> Result<(), StoreError> {
    sqlx::query(DELETE_SETTING).bind(MOVED_TO).execute(connection).await?;
    Ok(())
}

/// Reads where the database was moved to, if it was.
pub(crate) async fn find_moved_to(connection: &mut AnyConnection) -> Result<Option<String>, StoreError> {
    let found = sqlx::query(FIND_SETTING).bind(MOVED_TO).fetch_optional(connection);
    let row = in_time("settings", found).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}
