//! `/admin/v1/keys`: signing keys.

use std::sync::Arc;

use axum::extract::{self, Path};
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::jwk::Jwk;
use countersign_store::KeyState;
use serde::Deserialize;
use serde_json::Value;

use crate::admin::answer::{AdminBody, Answer, created, done, show};
use crate::admin::change_error::ChangeError;
use crate::admin::page::list as page_of;
use crate::admin::rights::Operator;
use crate::keys::revocation;
use crate::keys::ring::KeyLife;
use crate::keys::rotation::{self, Role, find as find_in, signs_at, view};
use crate::state::State;

/// The number of retired keys in a list. Older ones can be found by ID.
const RETIRED_SHOWN: i64 = 20;

/// Which keys get a successor.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    algorithm: String,
}

/// `GET keys`: keys in use, oldest first, then the most recently retired ones.
pub(crate) async fn list(extract::State(state): extract::State<Arc<State>>, _: Operator) -> Answer {
    let retired = state.store.list_retired_keys(RETIRED_SHOWN).await?;
    let mut known = state.registry.current().keys().lives().to_vec();
    known.extend(retired.iter().map(KeyLife::of));
    Ok(page_of(known.iter().map(view).collect(), None))
}

/// `GET keys/{id}`: also returns the public key, unless the key is retired.
pub async fn find(extract::State(state): extract::State<Arc<State>>, _: Operator, Path(id): Path<String>) -> Answer {
    let mut key = view(&revocation::find(&state, &id).await?);
    key["jwk"] = state.registry.current().keys().find_jwk(&id).map_or(Value::Null, Jwk::to_json);
    Ok(show(&key))
}

/// `POST keys/rotate`: creates a successor, which starts to sign after it has been published long enough.
pub(crate) async fn rotate(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    AdminBody(asked): AdminBody<Rotation>,
) -> Answer {
    let known = Algorithm::ALL.map(Algorithm::as_str).join(" ");
    let algorithm = Algorithm::parse(&asked.algorithm);
    let algorithm = algorithm.ok_or_else(|| ChangeError::invalid("algorithm", format!("must be one of: {known}")))?;
    let registry = state.registry.current().clone();
    if find_in(registry.keys().lives(), algorithm, KeyState::Active).is_none() {
        return Err(ChangeError::conflict(format!("no API signs with {algorithm}, so no key needs a successor")));
    }
    match rotation::prepare(&state, (&operator).into(), algorithm, Role::Successor).await? {
        Some(key) => Ok(created(&view(&key), &view(&key), &format!("/admin/v1/keys/{}", key.id))),
        None => Err(already_pending(&state, algorithm)),
    }
}

fn already_pending(state: &State, algorithm: Algorithm) -> ChangeError {
    let registry = state.registry.current();
    let at = find_in(registry.keys().lives(), algorithm, KeyState::Pending).map(signs_at);
    let when = at.map(|at| format!(", which starts to sign in {} s", (at - state.now()).max(0))).unwrap_or_default();
    ChangeError::conflict(format!("{algorithm} already has a pending key{when}"))
}

/// `POST keys/{id}/revoke`: revokes a key and every token that it signed. Returns a key that is already retired
/// unchanged.
pub(crate) async fn revoke(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path(id): Path<String>,
) -> Answer {
    let retired = revocation::revoke(&state, (&operator).into(), &id).await?;
    Ok(retired.map_or_else(done, |key| show(&view(&key))))
}
