//! `/admin/v1/refusals`: why a request was refused, and how to fix it.

use std::sync::Arc;

use axum::extract::{self, Path};
use countersign_store::{RefusalCount, StoredRefusal};
use http::Uri;
use serde_json::{Value, json};

use crate::admin::answer::{Answer, show};
use crate::admin::change_error::ChangeError;
use crate::admin::page::{Query, list as page_of};
use crate::admin::rights::Operator;
use crate::background::store_refusals;
use crate::state::State;

/// `GET refusals?client_id=&limit=`: recent refusals, oldest first.
pub(crate) async fn list(extract::State(state): extract::State<Arc<State>>, _: Operator, uri: Uri) -> Answer {
    let query = Query::parse(&uri, &["client_id", "limit"])?;
    // Includes what this node has not stored yet.
    store_refusals::run_once(&state).await;
    let limit = i64::try_from(query.limit()?).unwrap_or(i64::MAX);
    let mut refusals = state.store.list_refusals(query.find("client_id"), limit).await?;
    refusals.reverse();
    Ok(page_of(refusals.iter().map(view).collect(), None))
}

/// `GET refusals/counts?since=&limit=`: the refusals that were not recorded individually, counted by minute, client and
/// reason, oldest first.
pub(crate) async fn counts(extract::State(state): extract::State<Arc<State>>, _: Operator, uri: Uri) -> Answer {
    let query = Query::parse(&uri, &["since", "limit"])?;
    store_refusals::run_once(&state).await;
    let limit = i64::try_from(query.limit()?).unwrap_or(i64::MAX);
    let mut counts = state.store.list_refusal_counts(query.number("since")?.unwrap_or(0), limit).await?;
    counts.reverse();
    Ok(page_of(counts.iter().map(view_of_count).collect(), None))
}

/// `GET refusals/{request_id}`: looks in this node's memory, then in the database, which has the refusals of all nodes.
pub(crate) async fn find(
    extract::State(state): extract::State<Arc<State>>,
    _: Operator,
    Path(request_id): Path<String>,
) -> Answer {
    if let Some(refusal) = state.refusals.find(&request_id) {
        return Ok(show(&view(&refusal)));
    }
    let stored = state.store.find_refusal(&request_id).await?;
    Ok(show(&view(&stored.ok_or_else(|| {
        ChangeError::not_found(
            "refusal (the server keeps them for a week, and other nodes have them after a second)",
            &request_id,
        )
    })?)))
}

fn view(refusal: &StoredRefusal) -> Value {
    json!({
        "request_id": refusal.request_id,
        "at": refusal.at,
        "endpoint": refusal.endpoint,
        "client_id": refusal.client_id,
        "address": refusal.address,
        "error": refusal.error,
        "reason": refusal.reason,
        "remedy": refusal.remedy,
        "presented": serde_json::from_str::<Value>(&refusal.presented).unwrap_or_default(),
    })
}

fn view_of_count(count: &RefusalCount) -> Value {
    let client_id = (!count.client_id.is_empty()).then_some(&count.client_id);
    json!({ "minute": count.minute, "client_id": client_id, "reason": count.name, "count": count.count })
}
