//! Clients, their credentials and entitlements.

use countersign_protocol::UnixTime;
use countersign_protocol::client::{ClientAuthMethods, Credential, Entitlement, TokenLimits};
use countersign_protocol::ids::{ApiId, ClientId};
use countersign_protocol::right::Right;
use countersign_protocol::status::Status;
use countersign_protocol::user::name_key;
use sqlx::Row;

use crate::changes::Change;
use crate::client_rows::{ASK, INTROSPECT, read_entitlement};
use crate::error::StoreError;
use crate::list_column::list;
use crate::removals::{self, RightKey};
use crate::statement::statements;

statements! {
    TAKE_NAME = "INSERT INTO names (name_key) VALUES ($1)";
    FREE_NAME = "DELETE FROM names WHERE name_key = $1";
    INSERT_CLIENT = "INSERT INTO clients (id, name, owner, auth_methods, status, epoch, created_at, created_change) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    DELETE_CLIENT = "DELETE FROM clients WHERE id = $1";
    UPDATE_CLIENT = "UPDATE clients SET name = $1, owner = $2, auth_methods = $3 WHERE id = $4";
    SET_STATUS = "UPDATE clients SET status = $1 WHERE id = $2";
    RAISE_EPOCH_UNLESS = "UPDATE clients SET epoch = $1 WHERE id = $2 AND status <> $3";
    RAISE_EPOCH = "UPDATE clients SET epoch = $1 WHERE id = $2";
    INSERT_CREDENTIAL = "INSERT INTO credentials (id, client_id, label, secret_hash, not_before, expires_at, created_at, \
         created_change) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    DELETE_CREDENTIALS = "DELETE FROM credentials WHERE client_id = $1";
    DELETE_CREDENTIAL = "DELETE FROM credentials WHERE id = $1";
    SET_EXPIRY = "UPDATE credentials SET expires_at = $1 WHERE id = $2";
    SET_LABEL = "UPDATE credentials SET label = $1 WHERE id = $2";
    DELETE_ENTITLEMENT = "DELETE FROM entitlements WHERE client_id = $1 AND api_id = $2 AND kind = $3";
    FIND_ENTITLEMENT = "SELECT scopes, grants FROM entitlements WHERE client_id = $1 AND api_id = $2 AND kind = $3";
    INSERT_ENTITLEMENT = "INSERT INTO entitlements (client_id, api_id, kind, scopes, grants, given_at) \
         VALUES ($1, $2, $3, $4, $5, $6)";
    SET_ROTATED = "UPDATE clients SET rotated_at = $1 WHERE id = $2";
    FIND_ROTATED = "SELECT rotated_at FROM clients WHERE id = $1 AND rotated_at > 0";
    SET_LIMITS = "UPDATE clients SET tokens_per_minute = $1, tokens_per_day = $2 WHERE id = $3";
}

/// A client to insert.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// Its ID.
    pub id: ClientId,
    /// Its display name.
    pub name: String,
    /// Its contact.
    pub owner: String,
    /// Its authentication methods.
    pub auth_methods: ClientAuthMethods,
}

impl Change {
    /// Inserts a client. No client or user may have its ID. Its epoch is this change.
    pub async fn insert_client(&mut self, client: &NewClient) -> Result<(), StoreError> {
        self.take_name(client.id.as_str()).await?;
        sqlx::query(INSERT_CLIENT)
            .bind(client.id.as_str())
            .bind(client.name.as_str())
            .bind(client.owner.as_str())
            .bind(list(client.auth_methods.iter().map(|method| method.as_str())))
            .bind(Status::Active.as_str())
            .bind(self.number)
            .bind(self.now)
            .bind(self.number)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// Updates a client's name, owner and authentication methods.
    pub async fn update_client(&mut self, client: &NewClient) -> Result<(), StoreError> {
        sqlx::query(UPDATE_CLIENT)
            .bind(client.name.as_str())
            .bind(client.owner.as_str())
            .bind(list(client.auth_methods.iter().map(|method| method.as_str())))
            .bind(client.id.as_str())
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// Deletes a client with its credentials and entitlements, which invalidates its tokens.
    pub async fn delete_client(&mut self, client: &ClientId) -> Result<(), StoreError> {
        removals::delete_of_client(&mut self.transaction, client).await?;
        sqlx::query(DELETE_CLIENT).bind(client.as_str()).execute(&mut *self.transaction).await?;
        self.free_name(client.as_str()).await
    }

    /// Sets or clears the token limits of a client.
    pub async fn set_client_limits(&mut self, client: &ClientId, limits: TokenLimits) -> Result<(), StoreError> {
        let update = sqlx::query(SET_LIMITS).bind(limits.per_minute).bind(limits.per_day).bind(client.as_str());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Enables or disables a client. Both invalidate its earlier tokens, because an older version did not do so when it
    /// disabled a client.
    pub async fn set_client_status(&mut self, client: &ClientId, status: Status) -> Result<(), StoreError> {
        let raise = sqlx::query(RAISE_EPOCH_UNLESS).bind(self.number).bind(client.as_str()).bind(status.as_str());
        raise.execute(&mut *self.transaction).await?;
        let update = sqlx::query(SET_STATUS).bind(status.as_str()).bind(client.as_str());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Invalidates all tokens issued to the client so far.
    pub async fn raise_client_epoch(&mut self, client: &ClientId) -> Result<(), StoreError> {
        let update = sqlx::query(RAISE_EPOCH).bind(self.number).bind(client.as_str());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Returns when the client's secrets were last rotated.
    pub async fn find_rotation(&mut self, client: &ClientId) -> Result<Option<UnixTime>, StoreError> {
        let find = sqlx::query(FIND_ROTATED).bind(client.as_str());
        let row = find.fetch_optional(&mut *self.transaction).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Records that the client's secrets are rotated now.
    pub async fn set_rotated(&mut self, client: &ClientId) -> Result<(), StoreError> {
        let update = sqlx::query(SET_ROTATED).bind(self.now).bind(client.as_str());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Adds a credential to a client.
    pub async fn insert_credential(&mut self, client: &ClientId, credential: &Credential) -> Result<(), StoreError> {
        sqlx::query(INSERT_CREDENTIAL)
            .bind(credential.id.as_str())
            .bind(client.as_str())
            .bind(credential.label.as_str())
            .bind(credential.secret_hash.as_bytes().to_vec())
            .bind(credential.not_before)
            .bind(credential.expires_at)
            .bind(self.now)
            .bind(self.number)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// Sets or clears a credential's expiry.
    pub async fn set_credential_expiry(
        &mut self,
        credential: &str,
        expires_at: Option<UnixTime>,
    ) -> Result<(), StoreError> {
        let update = sqlx::query(SET_EXPIRY).bind(expires_at).bind(credential.to_owned());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Changes a credential's label.
    pub async fn set_credential_label(&mut self, credential: &str, label: &str) -> Result<(), StoreError> {
        let update = sqlx::query(SET_LABEL).bind(label.to_owned()).bind(credential.to_owned());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Deletes a credential.
    pub async fn delete_credential(&mut self, credential: &str) -> Result<(), StoreError> {
        sqlx::query(DELETE_CREDENTIAL).bind(credential.to_owned()).execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Deletes every credential of a client.
    pub async fn delete_credentials(&mut self, client: &ClientId) -> Result<(), StoreError> {
        sqlx::query(DELETE_CREDENTIALS).bind(client.as_str()).execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Allows a client to request tokens for an API. Replaces its earlier entitlement.
    pub async fn allow_ask(&mut self, client: &ClientId, api: &ApiId, what: &Entitlement) -> Result<(), StoreError> {
        self.note_taken(client, api).await?;
        for right in rights_of(what) {
            self.rights.give(&client_right(client, api, right));
        }
        let scopes = what.scopes.to_string();
        let grants = list(what.grants.iter().map(|grant| grant.as_str()));
        self.put_entitlement(client, api, ASK, (scopes, grants)).await
    }

    /// Records the rights that are about to be replaced or deleted.
    async fn note_taken(&mut self, client: &ClientId, api: &ApiId) -> Result<(), StoreError> {
        let find = sqlx::query(FIND_ENTITLEMENT).bind(client.as_str()).bind(api.as_str()).bind(ASK);
        let Some(row) = find.fetch_optional(&mut *self.transaction).await? else { return Ok(()) };
        let (scopes, grants): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let broken = || StoreError::Broken { table: "entitlements", row: format!("{client} {api}") };
        for right in rights_of(&read_entitlement(&scopes, &grants).ok_or_else(broken)?) {
            self.rights.take(client_right(client, api, right));
        }
        Ok(())
    }

    /// Allows a client to introspect all tokens of an API.
    pub async fn allow_introspect(&mut self, client: &ClientId, api: &ApiId) -> Result<(), StoreError> {
        self.put_entitlement(client, api, INTROSPECT, (String::new(), String::new())).await
    }

    /// Removes a client's rights to request and introspect tokens of an API, which invalidates the tokens that use them.
    pub async fn disallow(&mut self, client: &ClientId, api: &ApiId) -> Result<(), StoreError> {
        self.note_taken(client, api).await?;
        for kind in [ASK, INTROSPECT] {
            let delete = sqlx::query(DELETE_ENTITLEMENT).bind(client.as_str()).bind(api.as_str()).bind(kind);
            delete.execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    async fn put_entitlement(
        &mut self,
        client: &ClientId,
        api: &ApiId,
        kind: &'static str,
        (scopes, grants): (String, String),
    ) -> Result<(), StoreError> {
        let delete = sqlx::query(DELETE_ENTITLEMENT).bind(client.as_str()).bind(api.as_str()).bind(kind);
        delete.execute(&mut *self.transaction).await?;
        sqlx::query(INSERT_ENTITLEMENT)
            .bind(client.as_str())
            .bind(api.as_str())
            .bind(kind)
            .bind(scopes)
            .bind(grants)
            .bind(self.now)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// Releases a name.
    pub(crate) async fn free_name(&mut self, name: &str) -> Result<(), StoreError> {
        sqlx::query(FREE_NAME).bind(name_key(name)).execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Reserves a name in the namespace that client IDs and login names share.
    pub(crate) async fn take_name(&mut self, name: &str) -> Result<(), StoreError> {
        match sqlx::query(TAKE_NAME).bind(name_key(name)).execute(&mut *self.transaction).await.map_err(Into::into) {
            Ok(_) => Ok(()),
            Err(StoreError::Taken(_)) => Err(StoreError::Taken(name.to_owned())),
            Err(other) => Err(other),
        }
    }
}

fn client_right(client: &ClientId, api: &ApiId, right: Right) -> RightKey {
    RightKey { client_id: client.to_string(), api_id: api.clone(), right }
}

/// Every right that an entitlement contains.
fn rights_of(what: &Entitlement) -> Vec<Right> {
    let grants = what.grants.iter().map(Right::Grant);
    let scopes = what.scopes.iter().cloned().map(Right::Scope);
    [Right::Entitlement].into_iter().chain(grants).chain(scopes).collect()
}
