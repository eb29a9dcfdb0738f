//! APIs and their scopes.

use std::collections::HashMap;

use countersign_protocol::api::{Api, RefreshPolicy, ScopeDefinition};
use countersign_protocol::audience::Audience;
use countersign_protocol::ids::ApiId;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::path_rule::PathRule;
use countersign_protocol::right::Right;
use countersign_protocol::scope_token::ScopeToken;

use crate::changes::Change;
use crate::entry::{Beside, Ids, Stored};
use crate::error::StoreError;
use crate::list_column::{list, read_grants};
use crate::listing::{Fetcher, Listing, Reader, Text};
use crate::removals::{self, RightKey, api_reach_s, find_reach};
use crate::statement::statements;

statements! {
    INSERT_API = "INSERT INTO apis (id, audience, name, grants, access_token_lifetime_s, algorithm, refresh_idle_s, \
         refresh_absolute_s, refresh_retry_s, created_at, created_change, epoch) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    UPDATE_API = "UPDATE apis SET audience = $1, name = $2, grants = $3, access_token_lifetime_s = $4, algorithm = $5, \
         refresh_idle_s = $6, refresh_absolute_s = $7, refresh_retry_s = $8 WHERE id = $9";
    SHORTEN_RETRIES = "UPDATE refresh_tokens SET retry_until = issued_at + $1 \
         WHERE retry_until > $2 AND retry_until > issued_at + $3 AND EXISTS \
         (SELECT 1 FROM refresh_families f WHERE f.id = refresh_tokens.family_id AND f.api_id = $4)";
    RAISE_EPOCH = "UPDATE apis SET epoch = $1 WHERE id = $2 AND audience <> $3";
    RAISE_ISSUED_UNTIL = "UPDATE apis SET issued_until = $1 WHERE id = $2 AND issued_until < $3";
    DELETE_API = "DELETE FROM apis WHERE id = $1";
    DELETE_SCOPE = "DELETE FROM scopes WHERE api_id = $1 AND name = $2";
    PUT_SCOPE = "INSERT INTO scopes (api_id, name, description, rules, is_default, created_change) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (api_id, name) DO UPDATE SET description = excluded.description, \
         rules = excluded.rules, is_default = excluded.is_default";
    SET_AUDIENCE = "UPDATE apis SET audience = $1 WHERE id = $2";
}

const APIS: Listing = Listing {
    table: "apis",
    columns: &[
        &["id"],
        &["audience", "name", "grants", "algorithm"],
        &["access_token_lifetime_s", "refresh_idle_s", "refresh_absolute_s", "refresh_retry_s", "epoch"],
        &["created_change", "created_at", "''", "last_change"],
    ],
    bytes: None,
    id: "id",
    only: "",
    order: "id",
};
const SCOPES: Listing = Listing {
    table: "scopes",
    columns: &[&["api_id"], &["name"], &["description"], &["rules"], &["is_default"]],
    bytes: None,
    id: "api_id",
    only: "",
    order: "created_change, name",
};

impl Change {
    /// Adds an API with its scopes. Its ID and audience must be new, and its epoch is this change.
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
            .bind(api.refresh.retry_s)
            .bind(self.now)
            .bind(self.number)
            .bind(self.number)
            .execute(&mut *self.transaction)
            .await?;
        for scope in &api.scopes {
            self.put_scope(&api.id, scope).await?;
        }
        self.raise_key_lifetimes(api.access_token_lifetime_s).await
    }

    /// Updates an API, except its scopes. A new audience invalidates its tokens. A grant that it loses is stored as a removal.
    /// A shorter retry time also applies to refresh tokens that are already spent.
    pub async fn update_api(&mut self, api: &Api) -> Result<(), StoreError> {
        self.note_narrowing(api).await?;
        self.raise_api_epoch(&api.id, &api.audience).await?;
        sqlx::query(UPDATE_API)
            .bind(api.audience.as_str())
            .bind(api.name.as_str())
            .bind(list(api.grants.iter().map(|grant| grant.as_str())))
            .bind(api.access_token_lifetime_s)
            .bind(api.algorithm.as_str())
            .bind(api.refresh.idle_s)
            .bind(api.refresh.absolute_s)
            .bind(api.refresh.retry_s)
            .bind(api.id.as_str())
            .execute(&mut *self.transaction)
            .await?;
        let retry_s = api.refresh.retry_s;
        let shorten = sqlx::query(SHORTEN_RETRIES).bind(retry_s).bind(self.now).bind(retry_s).bind(api.id.as_str());
        shorten.execute(&mut *self.transaction).await?;
        self.raise_key_lifetimes(api.access_token_lifetime_s).await
    }

    /// Records the grants that the API loses, and how long tokens issued under its longer lifetimes stay valid.
    async fn note_narrowing(&mut self, after: &Api) -> Result<(), StoreError> {
        let Some((grants, reach_s)) = find_reach(&mut self.transaction, &after.id).await? else { return Ok(()) };
        for grant in grants.iter() {
            self.rights.take(api_right(&after.id, Right::Grant(grant)));
        }
        for grant in after.grants.iter() {
            self.rights.give(&api_right(&after.id, Right::Grant(grant)));
        }
        if reach_s > api_reach_s(after) {
            let until = self.now + reach_s;
            let raise = sqlx::query(RAISE_ISSUED_UNTIL).bind(until).bind(after.id.as_str()).bind(until);
            raise.execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    /// Invalidates the tokens of an API whose audience is about to change.
    async fn raise_api_epoch(&mut self, api: &ApiId, audience: &Audience) -> Result<(), StoreError> {
        let raise = sqlx::query(RAISE_EPOCH).bind(self.number).bind(api.as_str()).bind(audience.as_str());
        raise.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Deletes an API with its scopes and all entitlements to it.
    pub async fn delete_api(&mut self, api: &ApiId) -> Result<(), StoreError> {
        sqlx::query(DELETE_API).bind(api.as_str()).execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Adds a scope to an API, or replaces the scope of that name.
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
        self.rights.give(&api_right(api, Right::Scope(scope.token.clone())));
        Ok(())
    }

    /// Deletes a scope of an API.
    pub async fn delete_scope(&mut self, api: &ApiId, scope: &ScopeToken) -> Result<(), StoreError> {
        let delete = sqlx::query(DELETE_SCOPE).bind(api.as_str()).bind(scope.as_str());
        if delete.execute(&mut *self.transaction).await?.rows_affected() > 0 {
            self.rights.take(api_right(api, Right::Scope(scope.clone())));
        }
        Ok(())
    }

    /// Changes an API's audience, which invalidates its tokens.
    pub async fn set_audience(&mut self, api: &ApiId, audience: &Audience) -> Result<(), StoreError> {
        self.raise_api_epoch(api, audience).await?;
        let update = sqlx::query(SET_AUDIENCE).bind(audience.as_str()).bind(api.as_str());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }
}

/// A right that every client of the API has.
fn api_right(api: &ApiId, right: Right) -> RightKey {
    RightKey { client_id: String::new(), api_id: api.clone(), right }
}

/// Fetched rows of APIs, with the removals that apply to every client.
#[derive(Debug)]
pub(crate) struct FetchedApis {
    apis: Text,
    scopes: Text,
    removals: Text,
}

pub(crate) async fn fetch(from: &mut Fetcher<'_>, ids: &Ids) -> Result<FetchedApis, StoreError> {
    Ok(FetchedApis {
        apis: from.fetch(&APIS, ids).await?,
        scopes: from.fetch(&SCOPES, ids).await?,
        removals: from.fetch(&removals::OF_APIS, ids).await?,
    })
}

impl FetchedApis {
    pub(crate) fn read(self, reader: &mut Reader) -> Result<Vec<Stored<Api>>, StoreError> {
        let mut scopes: HashMap<String, Vec<ScopeDefinition>> = HashMap::new();
        for (api, scope) in reader.read(self.scopes, read_scope)? {
            scopes.entry(api).or_default().push(scope);
        }
        let mut removals = removals::read(self.removals, reader)?;
        let mut apis = reader.read(self.apis, read_api)?;
        for Stored { value: api, .. } in &mut apis {
            api.scopes = scopes.remove(api.id.as_str()).unwrap_or_default();
            api.removals = removals.remove(api.id.as_str()).unwrap_or_default().into();
        }
        Ok(reader.without_broken(apis, |api| api.id.as_str()))
    }
}

/// API, name, description, rules, whether it is a default.
type ScopeRow = (String, String, String, String, i64);
/// Audience, name, grants, algorithm.
type ApiWords = (String, String, String, String);
/// Lifetime of access tokens, idle and absolute lifetimes of refresh tokens, retry window, epoch.
type ApiNumbers = (i64, i64, i64, i64, i64);

fn read_scope((api, name, description, rules, is_default): ScopeRow) -> Option<(String, ScopeDefinition)> {
    let rules = rules.lines().map(PathRule::from_stored).collect();
    let token = ScopeToken::parse(&name)?;
    Some((api, ScopeDefinition { token, description, rules, is_default: is_default != 0 }))
}

fn read_api((id, words, numbers, beside): (String, ApiWords, ApiNumbers, Beside)) -> Option<Stored<Api>> {
    let (audience, name, grants, algorithm) = words;
    let (access_token_lifetime_s, idle_s, absolute_s, retry_s, epoch) = numbers;
    let api = Api {
        id: ApiId::parse(&id)?,
        audience: Audience::parse(&audience)?,
        name,
        scopes: Vec::new(),
        grants: read_grants(&grants)?,
        access_token_lifetime_s,
        algorithm: Algorithm::parse(&algorithm)?,
        refresh: RefreshPolicy { idle_s, absolute_s, retry_s },
        epoch,
        removals: Box::default(),
    };
    Some(Stored::new(api, beside))
}
