//! Lists for administrators, answered by database indexes instead of the registry.

use countersign_protocol::ids::ApiId;
use countersign_protocol::scope_token::ScopeToken;
use countersign_protocol::user::name_key;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::changes::Change;
use crate::database::Store;
use crate::entry::EntryKind;
use crate::error::StoreError;
use crate::statement::statements;

statements! {
    LIST_APIS = "SELECT id, created_change FROM apis WHERE (created_change, id) > ($1, $2) \
         ORDER BY created_change, id LIMIT $3";
    LIST_CLIENTS = "SELECT id, created_change FROM clients WHERE (created_change, id) > ($1, $2) \
         ORDER BY created_change, id LIMIT $3";
    LIST_USERS = "SELECT id, created_change FROM users WHERE (created_change, id) > ($1, $2) \
         ORDER BY created_change, id LIMIT $3";
    LIST_ENTITLED = "SELECT DISTINCT client_id FROM entitlements WHERE api_id = $1 ORDER BY client_id LIMIT $2";
    LIST_ENTITLED_AFTER = "SELECT DISTINCT client_id FROM entitlements WHERE api_id = $1 AND client_id > $2 \
         ORDER BY client_id LIMIT $3";
    LIST_ENTITLED_TO_SCOPE = "SELECT client_id FROM entitlements WHERE api_id = $1 \
         AND REPLACE(' ' || scopes || ' ', $2, '') <> ' ' || scopes || ' ' ORDER BY client_id LIMIT $3";
    FIND_OWNER = "SELECT client_id FROM credentials WHERE id = $1";
    FIND_NAME = "SELECT 1 FROM names WHERE name_key = $1";
}

/// A position in the list of a kind, which starts with the oldest entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The change that created the entry.
    pub created_change: i64,
    /// The entry's ID.
    pub id: String,
}

impl Store {
    /// Lists at most `limit` positions after `after`.
    pub async fn list_places(&self, kind: EntryKind, after: &Place, limit: i64) -> Result<Vec<Place>, StoreError> {
        let statement = match kind {
            EntryKind::Api => LIST_APIS,
            EntryKind::Client => LIST_CLIENTS,
            EntryKind::User => LIST_USERS,
        };
        let list = sqlx::query(statement).bind(after.created_change).bind(after.id.clone()).bind(limit);
        let rows = list.fetch_all(self.reader()).await?;
        let place = |row| Ok(Place { id: AnyRow::try_get(row, 0)?, created_change: row.try_get(1)? });
        Ok(rows.iter().map(place).collect::<Result<_, sqlx::Error>>()?)
    }

    /// Lists at most `limit` clients with an entitlement to an API, by ID, after `after`.
    pub async fn list_entitled_after(&self, api: &str, after: &str, limit: i64) -> Result<Vec<String>, StoreError> {
        let list = sqlx::query(LIST_ENTITLED_AFTER).bind(api.to_owned()).bind(after.to_owned()).bind(limit);
        let rows = list.fetch_all(self.reader()).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Returns whether a client or user has this name, ignoring case.
    pub async fn is_name_taken(&self, name: &str) -> Result<bool, StoreError> {
        Ok(sqlx::query(FIND_NAME).bind(name_key(name)).fetch_optional(self.reader()).await?.is_some())
    }
}

impl Change {
    /// Lists at most `limit` clients that may request tokens for an API (with this scope, if set) or introspect them.
    pub async fn list_entitled(
        &mut self,
        api: &ApiId,
        scope: Option<&ScopeToken>,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        let list = match scope {
            None => sqlx::query(LIST_ENTITLED).bind(api.as_str()),
            Some(scope) => sqlx::query(LIST_ENTITLED_TO_SCOPE).bind(api.as_str()).bind(format!(" {scope} ")),
        };
        let rows = list.bind(limit).fetch_all(&mut *self.transaction).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Returns the ID of the client that owns a credential.
    pub async fn find_credential_owner(&mut self, credential: &str) -> Result<Option<String>, StoreError> {
        let find = sqlx::query(FIND_OWNER).bind(credential.to_owned());
        let row = find.fetch_optional(&mut *self.transaction).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }
}
