//! Revokes a signing key, for example because it leaked.

use countersign_protocol::jose::algorithm::Algorithm;
use countersign_store::KeyState;
use serde_json::json;

use crate::admin::audit::Entry;
use crate::admin::change::{Author, Changing};
use crate::admin::change_error::ChangeError;
use crate::keys::new_key::NewKey;
use crate::keys::new_key::make_key;
use crate::keys::ring::KeyLife;
use crate::keys::rotation::{Published, Role, activate, find as find_in, publish, view};
use crate::operations::nodes;
use crate::registry::Registry;
use crate::state::State;

/// Revokes a key and every token that it signed. If the key signs, a successor that every live node can verify with
/// takes over first, and the key is revoked once every live node signs with the successor. Otherwise, nodes would issue
/// invalid tokens for a moment.
///
/// Returns the key unchanged if it was already retired.
pub(crate) async fn revoke(state: &State, author: Author, id: &str) -> Result<Option<KeyLife>, ChangeError> {
    let Some(key) = find_known(&state.registry.current(), id) else {
        return find_retired(state, id).await.map(Some);
    };
    if key.state == KeyState::Active
        && let Err(problem) = replace(state, author.clone(), &key).await
    {
        // The key is revoked anyway, because it may have been stolen.
        tracing::warn!(key = id, %problem, "failed to replace a key before revoking it");
    }
    if end(state, author.clone(), id, None).await? {
        return Ok(None);
    }
    // The key still signs: the keys have changed in the meantime. This may have been the thief, who could revoke each
    // successor with an administrator's token signed by the stolen key. A spare therefore takes over in the same
    // change, without waiting.
    let spare = make_key(key.algorithm).await?;
    end(state, author, id, Some(spare)).await.map(|_| None)
}

/// Waits until every live node can verify with the successor. Does not wait twice for a node that has not responded.
async fn replace(state: &State, author: Author, key: &KeyLife) -> Result<(), ChangeError> {
    let published = publish(state, author.clone(), key.algorithm, Role::Successor).await?;
    if let Published { id: Some(successor), is_seen } = published {
        activate(state, author, &successor, Some(&key.id)).await?;
        if is_seen {
            nodes::wait_until_seen(state).await;
        }
    }
    Ok(())
}

/// Revokes a key. If it signs, a pending key or else the spare takes over. Returns false if it signs and there is no
/// spare.
async fn end(state: &State, author: Author, id: &str, spare: Option<NewKey>) -> Result<bool, ChangeError> {
    let mut changing = Changing::begin(state, author).await?;
    let Some(key) = find_known(&changing.registry, id) else {
        // Someone else has revoked it since.
        return find_retired(state, id).await.map(|_| true);
    };
    changing.change.retire_key(id).await?;
    let mut after = None;
    if key.state == KeyState::Active {
        let Some(spare) = spare else { return Ok(false) };
        let active = hand_over(state, &mut changing, key.algorithm, spare).await?;
        after = Some(json!({ "active": active }));
    }
    let before = Some(view(&key));
    changing.finish(Entry { action: "key.revoke", target: id.to_owned(), before, after }).await?;
    Ok(true)
}

/// Activates a pending key, or else the spare, and returns its ID.
async fn hand_over(
    state: &State,
    changing: &mut Changing<'_>,
    algorithm: Algorithm,
    spare: NewKey,
) -> Result<String, ChangeError> {
    if let Some(pending) = find_in(changing.registry.keys().lives(), algorithm, KeyState::Pending) {
        let id = pending.id.clone();
        changing.change.set_key_state(&id, KeyState::Active).await?;
        return Ok(id);
    }
    spare.insert(state, &mut changing.change, KeyState::Active).await?;
    Ok(spare.id)
}

fn find_known(registry: &Registry, id: &str) -> Option<KeyLife> {
    registry.keys().lives().iter().find(|key| key.id == id).cloned()
}

/// Finds a key in any state.
pub(crate) async fn find(state: &State, id: &str) -> Result<KeyLife, ChangeError> {
    let known = find_known(&state.registry.current(), id);
    match known {
        Some(key) => Ok(key),
        None => find_retired(state, id).await,
    }
}

async fn find_retired(state: &State, id: &str) -> Result<KeyLife, ChangeError> {
    let found = state.store.find_retired_key(id).await?;
    found.as_ref().map(KeyLife::of).ok_or_else(|| ChangeError::not_found("key", id))
}
