//! Apis and their scopes.

use std::collections::HashMap;

use countersign_protocol::api::{Api, ApiId, Audience, RefreshPolicy, ScopeDefinition};
use countersign_protocol::grant::{GrantType, GrantTypes};
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::path_rule::PathRule;
use countersign_protocol::scope::ScopeToken;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::changes::Change;
use crate::error::StoreError;
use crate::statement::{list, statements, words};

statements! {
    INSERT_API = "INSERT INTO apis (id, audience, name, grants, access_token_lifetime_s, algorithm, refresh_idle_s, \
         refresh_absolute_s, created_at, created_change) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    UPDATE_API = "UPDATE apis SET audience = $1, name = $2, grants = $3, access_token_lifetime_s = $4, algorithm = $5, \
         refresh_idle_s = $6, refresh_absolute_s = $7 WHERE id = $8";
    DELETE_API = "DELETE FROM apis WHERE id = $1";
    DELETE_SCOPE = "DELETE FROM scopes WHERE api_id = $1 AND name = $2";
    PUT_SCOPE = "INSERT INTO scopes (api_id, name, description, rules, is_default, created_change) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (api_id, name) DO UPDATE SET description = excluded.description, \
         rules = excluded.rules, is_default = excluded.is_default";
    SET_AUDIENCE = "UPDATE apis SET audience = $1 WHERE id = $2";
    LOAD_APIS = "SELECT id, audience, name, grants, access_token_lifetime_s, algorithm, refresh_idle_s, \
         refresh_absolute_s FROM apis ORDER BY id";
    LOAD_SCOPES = "SELECT api_id, name, description, rules, is_default FROM scopes ORDER BY created_change, name";
}

impl Change {
    /// Adds an Api with its scopes; its id and audience must be new.
    pub async fn insert_api(&mut self, api: &Api) -> Result<(), StoreError> {
        sqlx::query(INSERT_API)
            .bind(api.id.as_str())
            .bind(api.audience.as_str())
            .bind(api.name.as_str())
            .bind(list(api.grants.iter().map(|grant| grant.as_str())))
            .bind(api.access_token_lifetime_s)
            .bind(api.algorithm.as_str())
            .bind(api.refresh.idle_s)
            .bind(api.refresh.absolute_s)
            .bind(self.now)
            .bind(self.number)
            .execute(&mut *self.transaction)
            .await?;
        for scope in &api.scopes {
            self.put_scope(&api.id, scope).await?;
        }
        self.raise_key_lifetimes(api.access_token_lifetime_s).await
    }

    /// Changes an Api, but for its scopes.
    pub async fn update_api(&mut self, api: &Api) -> Result<(), StoreError> {
        sqlx::query(UPDATE_API)
            .bind(api.audience.as_str())
            .bind(api.name.as_str())
            .bind(list(api.grants.iter().map(|grant| grant.as_str())))
            .bind(api.access_token_lifetime_s)
            .bind(api.algorithm.as_str())
            .bind(api.refresh.idle_s)
            .bind(api.refresh.absolute_s)
            .bind(api.id.as_str())
            .execute(&mut *self.transaction)
            .await?;
        self.raise_key_lifetimes(api.access_token_lifetime_s).await
    }

    /// Deletes an Api with its scopes, and what clients may ask of it.
    pub async fn delete_api(&mut self, api: &ApiId) -> Result<(), StoreError> {
        sqlx::query(DELETE_API).bind(api.as_str()).execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Adds a scope to an Api, or changes the one of its name.
    pub async fn put_scope(&mut self, api: &ApiId, scope: &ScopeDefinition) -> Result<(), StoreError> {
        let rules: Vec<&str> = scope.rules.iter().map(PathRule::as_str).collect();
        sqlx::query(PUT_SCOPE)
            .bind(api.as_str())
            .bind(scope.token.as_str())
            .bind(scope.description.as_str())
            .bind(rules.join("\n"))
            .bind(i64::from(scope.is_default))
            .bind(self.number)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// Takes a scope from an Api.
    pub async fn delete_scope(&mut self, api: &ApiId, scope: &ScopeToken) -> Result<(), StoreError> {
        let delete = sqlx::query(DELETE_SCOPE).bind(api.as_str()).bind(scope.as_str());
        delete.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Gives an Api another audience; tokens of the old one are then refused.
    pub async fn set_audience(&mut self, api: &ApiId, audience: &Audience) -> Result<(), StoreError> {
        let update = sqlx::query(SET_AUDIENCE).bind(audience.as_str()).bind(api.as_str());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }
}

/// Reads every Api.
pub(crate) async fn load(connection: &mut AnyConnection) -> Result<Vec<Api>, StoreError> {
    let mut scopes: HashMap<String, Vec<ScopeDefinition>> = HashMap::new();
    for row in sqlx::query(LOAD_SCOPES).fetch_all(&mut *connection).await? {
        let (api, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let scope = read_scope(&row, &name)?.ok_or(StoreError::Broken { table: "scopes", row: name })?;
        scopes.entry(api).or_default().push(scope);
    }
    let mut apis = Vec::new();
    for row in sqlx::query(LOAD_APIS).fetch_all(&mut *connection).await? {
        let id: String = row.try_get(0)?;
        let defined = scopes.remove(&id).unwrap_or_default();
        apis.push(read_api(&row, &id, defined)?.ok_or(StoreError::Broken { table: "apis", row: id })?);
    }
    Ok(apis)
}

fn read_scope(row: &AnyRow, name: &str) -> Result<Option<ScopeDefinition>, sqlx::Error> {
    let (description, rules): (String, String) = (row.try_get(2)?, row.try_get(3)?);
    let is_default = row.try_get::<i64, _>(4)? != 0;
    let rules: Option<Vec<PathRule>> = rules.lines().map(|rule| PathRule::parse(rule).ok()).collect();
    let parsed = ScopeToken::parse(name).zip(rules);
    Ok(parsed.map(|(token, rules)| ScopeDefinition { token, description, rules, is_default }))
}

fn read_api(row: &AnyRow, id: &str, scopes: Vec<ScopeDefinition>) -> Result<Option<Api>, sqlx::Error> {
    let (audience, grants, algorithm): (String, String, String) = (row.try_get(1)?, row.try_get(3)?, row.try_get(5)?);
    let name = row.try_get(2)?;
    let access_token_lifetime_s = row.try_get(4)?;
    let refresh = RefreshPolicy { idle_s: row.try_get(6)?, absolute_s: row.try_get(7)? };
    let read = || {
        Some(Api {
            id: ApiId::parse(id)?,
            audience: Audience::parse(&audience)?,
            name,
            scopes,
            grants: read_grants(&grants)?,
            access_token_lifetime_s,
            algorithm: Algorithm::parse(&algorithm)?,
            refresh,
        })
    };
    Ok(read())
}

/// The grant types of a list column; `None` if one is unknown.
pub(crate) fn read_grants(grants: &str) -> Option<GrantTypes> {
    words(grants).map(|word| GrantType::parse(word).ok()).collect()
}
