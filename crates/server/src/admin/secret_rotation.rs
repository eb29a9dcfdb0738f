//! `POST /admin/v1/clients/{id}/secrets/rotate`: creates a new secret, and lets the existing ones expire after an
//! overlap.

use std::sync::Arc;

use axum::extract::{self, Path};
use countersign_protocol::UnixTime;
use countersign_protocol::client::{Client, Credential};
use serde::Deserialize;
use serde_json::json;

use crate::admin::answer::{AdminBody, Answer, created};
use crate::admin::audit::Entry;
use crate::admin::change::Changing;
use crate::admin::change_error::ChangeError;
use crate::admin::fields::{find_client, within};
use crate::admin::new_secret::{answer, make_successor};
use crate::admin::rights::Operator;
use crate::admin::secrets::{SOON_S, address, check_unused, describe, is_administrator, make_room, target};
use crate::state::State;

/// The maximum overlap: 90 days.
const OVERLAP_S: std::ops::RangeInclusive<i64> = 0..=90 * 86_400;
const DEFAULT_OVERLAP_S: i64 = 86_400;
/// A second rotation within this time, in seconds, must set `again`. If several start at once, for example in every pod
/// of a job, all but the last would return a secret that is already being replaced.
const AGAIN_S: i64 = 60;

/// A successor for all secrets of a client.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rotation {
    label: String,
    overlap_s: Option<i64>,
    /// Rotate even right after the last rotation, for example because its response was lost.
    again: bool,
}

/// Rotates. Only this response contains the new secret.
pub(crate) async fn rotate(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path(id): Path<String>,
    AdminBody(asked): AdminBody<Rotation>,
) -> Answer {
    let mut changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let client = find_client(&registry, &id)?;
    operator.check_can_administer(client)?;
    let overlap_s = within("overlap_s", asked.overlap_s.unwrap_or(DEFAULT_OVERLAP_S), OVERLAP_S)?;
    let (now, end) = (state.now(), state.now() + overlap_s);
    if !asked.again {
        check_not_just_rotated(&mut changing, client, now).await?;
    }
    make_room(&mut changing, client, now).await?;
    let (credential, secret) = make_successor(&state, &asked.label)?;
    changing.change.insert_credential(&client.id, &credential).await?;
    changing.change.set_rotated(&client.id).await?;
    let dated = list_outliving(client, now, end);
    if overlap_s < SOON_S {
        let histories = state.store.list_credential_histories(&client.id).await?;
        for old in &dated {
            check_unused(&state, old, &histories, "set an overlap")?;
        }
    }
    for old in &dated {
        changing.change.set_credential_expiry(&old.id, Some(end)).await?;
    }
    if end <= now && !dated.is_empty() && is_administrator(client) {
        changing.change.raise_client_epoch(&client.id).await?;
    }
    let ids: Vec<&str> = dated.iter().map(|old| old.id.as_str()).collect();
    let before = json!({ "old": dated.iter().map(|old| describe(old)).collect::<Vec<_>>() });
    let after = json!({ "new": describe(&credential), "ended_at": end, "old": ids });
    let (action, target) = ("secret.rotate", target(client, &credential));
    changing.finish(Entry { action, target, before: Some(before), after: Some(after) }).await?;
    let mut shown = answer(&client.id, &credential, Some(&secret));
    let previous = dated.iter().map(|old| json!({ "id": old.id, "expires_at": old.expires_at })).collect::<Vec<_>>();
    shown["old"] = json!({ "ids": ids, "expires_at": end, "previous": previous });
    Ok(created(&shown, &describe(&credential), &address(&client.id, &credential)))
}

/// Fails if the secrets were rotated within the last minute. Adding a secret does not count, because it does not let
/// others expire. The clocks of two nodes differ, so the last rotation may be slightly in the future.
async fn check_not_just_rotated(
    changing: &mut Changing<'_>,
    client: &Client,
    now: UnixTime,
) -> Result<(), ChangeError> {
    match changing.change.find_rotation(&client.id).await? {
        Some(at) if (now - at).abs() < AGAIN_S => {
            let (id, ago_s) = (&client.id, (now - at).max(0));
            let what = format!("the secrets of {id} were rotated {ago_s} s ago; use that secret");
            Err(ChangeError::conflict(format!("{what}, or rotate again with `again` (`--again`) if it was lost")))
        }
        _ => Ok(()),
    }
}

/// Returns the secrets that would still be valid at `end`. A secret that starts later was planned by someone, and is
/// not one of the existing ones.
fn list_outliving(client: &Client, now: UnixTime, end: UnixTime) -> Vec<&Credential> {
    let outlives =
        |old: &&Credential| old.not_before <= now && old.expires_at.is_none_or(|expires_at| expires_at > end);
    client.credentials.iter().filter(outlives).collect()
}
