//! `/admin/v1/usage`: how many tokens were issued, and what is no longer used.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract;
use countersign_protocol::UnixTime;
use countersign_store::{EntitlementUse, TokenCount, TokenCountQuery};
use http::Uri;
use serde_json::{Value, json};

use crate::admin::answer::Answer;
use crate::admin::change_error::ChangeError;
use crate::admin::page::{Query, list as page_of};
use crate::admin::rights::Operator;
use crate::background::flush_uses;
use crate::registry::Registry;
use crate::state::State;
use crate::usage::uses::HOUR_S;

/// The end of a period without one.
const END: UnixTime = i64::MAX;

/// `GET usage?from=&to=&client_id=`: counts tokens by hour, client, secret, API and grant, oldest first.
pub(crate) async fn list(extract::State(state): extract::State<Arc<State>>, _: Operator, uri: Uri) -> Answer {
    let query = Query::parse(&uri, &["from", "to", "client_id", "after", "limit"])?;
    // Includes what this node has not stored yet.
    flush_uses::run_once(&state).await;
    let limit = query.limit()?;
    let offset = query.number("after")?.unwrap_or(0);
    if offset < 0 {
        return Err(ChangeError::invalid("after", "must be the last item of the previous page"));
    }
    let wanted = TokenCountQuery {
        client_id: query.find("client_id"),
        from: query.number("from")?.unwrap_or(0),
        to: query.number("to")?.unwrap_or(END),
        limit: i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1),
        offset,
    };
    let counts = state.store.list_token_counts(&wanted).await?;
    let next = counts.get(limit).map(|_| (offset.saturating_add(i64::try_from(limit).unwrap_or(0))).to_string());
    Ok(page_of(counts.iter().take(limit).map(view).collect(), next.as_deref()))
}

/// `GET usage/unused?since=`: lists clients, secrets and entitlements that existed at that time and have not been used
/// since.
pub(crate) async fn unused(extract::State(state): extract::State<Arc<State>>, _: Operator, uri: Uri) -> Answer {
    let query = Query::parse(&uri, &["since"])?;
    let since = query.number("since")?.ok_or_else(|| ChangeError::invalid("since", "missing"))?;
    let uses = LastUses::load(&state).await?;
    let registry = state.registry.current().clone();
    let mut items = Vec::new();
    let mut clients: Vec<_> = registry.clients().collect();
    clients.sort_by(|a, b| a.id.cmp(&b.id));
    for client in clients {
        let id = client.id.as_str();
        let created_at = registry.note_of_client(id).created_at;
        if created_at >= since {
            continue;
        }
        let last = uses.of_client(id);
        if last.is_none_or(|last| last < since) {
            items.push(json!({ "kind": "client", "client_id": id, "created_at": created_at, "last_used_at": last }));
            continue;
        }
        for (secret_id, created_at, last) in uses.secrets_of(id) {
            if *created_at < since && last.is_none_or(|last| last < since) {
                let item = json!({ "kind": "secret", "client_id": id, "secret_id": secret_id, "created_at": created_at, "last_used_at": last });
                items.push(item);
            }
        }
        for (api, _) in &client.may_ask {
            let (given_at, last) = uses.of_entitlement(id, api.as_str());
            if given_at < since && last.is_none_or(|last| last < since) {
                let item = json!({ "kind": "entitlement", "client_id": id, "api": api.as_str(), "created_at": given_at, "last_used_at": last });
                items.push(item);
            }
        }
    }
    Ok(page_of(items, None))
}

/// The last uses that are stored or known to this node.
pub(crate) struct LastUses {
    secrets: HashMap<String, Vec<(String, UnixTime, Option<UnixTime>)>>,
    /// By client and API: when the entitlement last changed, and when it was last used.
    entitlements: HashMap<(String, String), (UnixTime, Option<UnixTime>)>,
}

impl LastUses {
    /// Loads them.
    pub(crate) async fn load(state: &State) -> Result<Self, ChangeError> {
        flush_uses::run_once(state).await;
        let mut secrets: HashMap<String, Vec<_>> = HashMap::new();
        for (client_id, history) in state.store.list_all_credential_histories().await? {
            let last = history.uses.map(|uses| uses.last_used_at);
            secrets.entry(client_id).or_default().push((history.credential_id, history.created_at, last));
        }
        // Uses are counted by the hour. Assumes the end of the hour, so that nothing that may have been used is
        // reported as unused.
        let latest = |hour: UnixTime| (hour + HOUR_S - 1).min(state.now());
        let known = |one: EntitlementUse| ((one.client_id, one.api_id), (one.given_at, one.last_hour.map(latest)));
        let entitlements = state.store.list_entitlement_uses().await?.into_iter().map(known).collect();
        Ok(Self { secrets, entitlements })
    }

    /// Returns when a client last authenticated.
    pub(crate) fn of_client(&self, id: &str) -> Option<UnixTime> {
        self.secrets_of(id).iter().filter_map(|(_, _, last)| *last).max()
    }

    fn secrets_of(&self, id: &str) -> &[(String, UnixTime, Option<UnixTime>)] {
        self.secrets.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    fn of_entitlement(&self, client: &str, api: &str) -> (UnixTime, Option<UnixTime>) {
        self.entitlements.get(&(client.to_owned(), api.to_owned())).copied().unwrap_or_default()
    }
}

/// True if a client already existed at `since` and has not been used since.
pub(crate) fn is_unused(registry: &Registry, uses: &LastUses, client_id: &str, since: UnixTime) -> bool {
    registry.note_of_client(client_id).created_at < since && uses.of_client(client_id).is_none_or(|last| last < since)
}

fn view(count: &TokenCount) -> Value {
    json!({
        "hour": count.hour,
        "client_id": count.client_id,
        "secret_id": count.credential_id,
        "api": count.api_id,
        "grant": count.grant_type,
        "tokens": count.tokens,
    })
}
