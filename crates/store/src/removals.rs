//! The rights that a change takes away. Tokens issued earlier cannot use them.

use std::collections::{BTreeMap, HashMap};

use countersign_protocol::UnixTime;
use countersign_protocol::api::Api;
use countersign_protocol::grant_type::{GrantType, GrantTypes};
use countersign_protocol::ids::{ApiId, ClientId};
use countersign_protocol::right::{Removal, Right};
use sqlx::{Any, Row, Transaction};

use crate::error::StoreError;
use crate::list_column::read_grants;
use crate::listing::{Listing, Reader, Text};
use crate::statement::statements;

statements! {
    PUT_REMOVAL = "INSERT INTO removals (client_id, api_id, kind, name, change, expires_at) \
         SELECT $1, id, $2, $3, CAST($4 AS BIGINT), CASE WHEN issued_until > $5 THEN issued_until ELSE $6 END \
         FROM apis WHERE id = $7 \
         ON CONFLICT (client_id, api_id, kind, name) DO UPDATE SET change = excluded.change, \
         expires_at = CASE WHEN removals.expires_at > excluded.expires_at THEN removals.expires_at \
         ELSE excluded.expires_at END";
    DELETE_REMOVALS = "DELETE FROM removals WHERE client_id = $1";
    COUNT_REMOVALS = "SELECT CAST(COUNT(*) AS BIGINT) FROM removals WHERE client_id = $1 AND api_id = $2";
    DELETE_REMOVALS_OF_API = "DELETE FROM removals WHERE client_id = $1 AND api_id = $2";
    RAISE_API_EPOCH = "UPDATE apis SET epoch = $1 WHERE id = $2";
    FIND_REACH = "SELECT grants, access_token_lifetime_s, refresh_absolute_s FROM apis WHERE id = $1";
}

/// Client, API, kind, name, change.
type RemovalRow = (String, String, String, String, i64);

pub(crate) const OF_CLIENTS: Listing = Listing {
    table: "removals",
    columns: &[&["client_id"], &["api_id"], &["kind"], &["name"], &["change"]],
    bytes: None,
    id: "client_id",
    only: "",
    order: "client_id, api_id, kind, name",
};
pub(crate) const OF_APIS: Listing = Listing {
    columns: &[&["api_id"], &["api_id"], &["kind"], &["name"], &["change"]],
    id: "api_id",
    only: " AND client_id = ''",
    ..OF_CLIENTS
};

/// The most removals of one client and API, or of an API for every client: more than an API has scopes, but few enough to
/// keep in memory and compare with every token.
const MAX_REMOVALS: i64 = 500;

/// A right, and its owner: one client, or every client of the API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RightKey {
    /// Empty for every client.
    pub(crate) client_id: String,
    pub(crate) api_id: ApiId,
    pub(crate) right: Right,
}

/// The rights that a change touches, and whether they exist at its end. A right that is deleted and inserted again is not
/// a removal.
#[derive(Debug, Default)]
pub(crate) struct TouchedRights(BTreeMap<RightKey, bool>);

impl TouchedRights {
    /// Records that an existing right was taken away.
    pub(crate) fn take(&mut self, key: RightKey) {
        self.0.insert(key, false);
    }

    /// Records that a right was granted.
    pub(crate) fn give(&mut self, key: &RightKey) {
        if let Some(is_there) = self.0.get_mut(key) {
            *is_there = true;
        }
    }

    /// The rights that are gone. A removed entitlement includes its scopes and grants.
    fn into_removed(self) -> Vec<RightKey> {
        let mut removed: Vec<RightKey> = Vec::new();
        for (key, _) in self.0.into_iter().filter(|(_, is_there)| !is_there) {
            let is_included = |last: &RightKey| {
                last.right == Right::Entitlement && (&last.client_id, &last.api_id) == (&key.client_id, &key.api_id)
            };
            if !removed.last().is_some_and(is_included) {
                removed.push(key);
            }
        }
        removed
    }
}

/// Stores the removed rights at the end of a change, in its transaction.
pub(crate) async fn store(
    transaction: &mut Transaction<'static, Any>,
    rights: TouchedRights,
    change: i64,
    now: UnixTime,
) -> Result<(), StoreError> {
    let removed = rights.into_removed();
    for key in &removed {
        put_removal(transaction, key, change, now).await?;
    }
    let mut owners: Vec<(&str, &ApiId)> = removed.iter().map(|key| (key.client_id.as_str(), &key.api_id)).collect();
    owners.dedup();
    for owner in owners {
        bound_removals(transaction, owner, change, now).await?;
    }
    Ok(())
}

async fn put_removal(
    transaction: &mut Transaction<'static, Any>,
    key: &RightKey,
    change: i64,
    now: UnixTime,
) -> Result<(), StoreError> {
    // A deleted API needs no removals: if it is created again, it has a later epoch.
    let Some((_, reach_s)) = find_reach(transaction, &key.api_id).await? else { return Ok(()) };
    let (kind, name) = key.right.parts();
    let expires_at = now + reach_s;
    sqlx::query(PUT_REMOVAL)
        .bind(key.client_id.clone())
        .bind(kind)
        .bind(name.to_owned())
        .bind(change)
        .bind(expires_at)
        .bind(expires_at)
        .bind(key.api_id.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Replaces too many removals with one that covers them: the client's entitlement, or all tokens of the API.
async fn bound_removals(
    transaction: &mut Transaction<'static, Any>,
    (client_id, api_id): (&str, &ApiId),
    change: i64,
    now: UnixTime,
) -> Result<(), StoreError> {
    let count = sqlx::query(COUNT_REMOVALS).bind(client_id.to_owned()).bind(api_id.as_str());
    let count: i64 = count.fetch_one(&mut **transaction).await?.try_get(0)?;
    if count <= MAX_REMOVALS {
        return Ok(());
    }
    let delete = sqlx::query(DELETE_REMOVALS_OF_API).bind(client_id.to_owned()).bind(api_id.as_str());
    delete.execute(&mut **transaction).await?;
    if client_id.is_empty() {
        let raise = sqlx::query(RAISE_API_EPOCH).bind(change).bind(api_id.as_str());
        raise.execute(&mut **transaction).await?;
        return Ok(());
    }
    let (client_id, api_id) = (client_id.to_owned(), api_id.clone());
    put_removal(transaction, &RightKey { client_id, api_id, right: Right::Entitlement }, change, now).await
}

/// Returns the grants of an API, and how long its tokens stay valid under its current lifetimes. `None` if there is no
/// such API.
pub(crate) async fn find_reach(
    transaction: &mut Transaction<'static, Any>,
    api: &ApiId,
) -> Result<Option<(GrantTypes, i64)>, StoreError> {
    let row = sqlx::query(FIND_REACH).bind(api.as_str()).fetch_optional(&mut **transaction).await?;
    let Some(row) = row else { return Ok(None) };
    let grants: String = row.try_get(0)?;
    let grants = read_grants(&grants);
    let grants = grants.ok_or_else(|| StoreError::Broken { table: "apis", row: api.to_string() })?;
    Ok(Some((grants, reach_s(grants.contains(GrantType::RefreshToken), row.try_get(1)?, row.try_get(2)?))))
}

/// Deletes the removals of a deleted client: if it is created again, it has a later epoch.
pub(crate) async fn delete_of_client(
    transaction: &mut Transaction<'static, Any>,
    client: &ClientId,
) -> Result<(), StoreError> {
    sqlx::query(DELETE_REMOVALS).bind(client.as_str()).execute(&mut **transaction).await?;
    Ok(())
}

/// How long the tokens of an API stay valid after they are issued, in seconds.
pub(crate) fn api_reach_s(api: &Api) -> i64 {
    reach_s(api.allows(GrantType::RefreshToken), api.access_token_lifetime_s, api.refresh.absolute_s)
}

fn reach_s(may_refresh: bool, access_token_lifetime_s: i64, refresh_absolute_s: i64) -> i64 {
    if may_refresh { access_token_lifetime_s.max(refresh_absolute_s) } else { access_token_lifetime_s }
}

/// Parses the removals of clients or APIs, by owner.
pub(crate) fn read(fetched: Text, reader: &mut Reader) -> Result<HashMap<String, Vec<Removal>>, StoreError> {
    let mut removals: HashMap<String, Vec<Removal>> = HashMap::new();
    for (owner, removal) in reader.read(fetched, read_removal)? {
        removals.entry(owner).or_default().push(removal);
    }
    Ok(removals)
}

fn read_removal((owner, api, kind, name, change): RemovalRow) -> Option<(String, Removal)> {
    Some((owner, Removal { api_id: ApiId::parse(&api)?, right: Right::from_parts(&kind, &name)?, change }))
}
