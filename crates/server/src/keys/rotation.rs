//! Key rotation without an outage. A key is pending (published, not signing yet), active, retiring (only verifying),
//! and then retired. A pure function decides what is due. Each step is an audited change like an administrator's.

use countersign_protocol::UnixTime;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_store::KeyState;
use serde_json::{Value, json};

use crate::admin::audit::Entry;
use crate::admin::change::{Author, Changing};
use crate::admin::change_error::ChangeError;
use crate::keys::new_key::make_key;
use crate::keys::ring::KeyLife;
use crate::limits::{KEY_MARGIN_S, KEY_PENDING_S};
use crate::operations::nodes;
use crate::registry::Registry;
use crate::state::State;

/// A step that is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Create a successor.
    Prepare(Algorithm),
    /// Activate the pending key with this ID.
    Activate(String),
    /// Retire the retiring key with this ID.
    Retire(String),
}

/// Returns what is due at `now`, if a key signs for `rotate_after_s`.
pub(crate) fn plan(keys: &[KeyLife], now: UnixTime, rotate_after_s: i64) -> Vec<Step> {
    let mut steps = Vec::new();
    for key in keys {
        let is_due = |after_s: i64| key.since + after_s <= now;
        match key.state {
            KeyState::Active
                if is_due(rotate_after_s - KEY_PENDING_S) && find(keys, key.algorithm, KeyState::Pending).is_none() =>
            {
                steps.push(Step::Prepare(key.algorithm));
            }
            KeyState::Pending if is_due(KEY_PENDING_S) => steps.push(Step::Activate(key.id.clone())),
            KeyState::Retiring if ends_at(key) <= now => steps.push(Step::Retire(key.id.clone())),
            _ => {}
        }
    }
    steps
}

/// Returns when the last token of a retiring key expires.
pub(crate) fn ends_at(key: &KeyLife) -> UnixTime {
    key.since + key.longest_lifetime_s + KEY_MARGIN_S
}

/// Returns for how many seconds a key has been in its state.
pub(crate) fn age_s(key: &KeyLife, now: UnixTime) -> i64 {
    now - key.since
}

/// Returns when a pending key starts to sign.
pub(crate) fn signs_at(key: &KeyLife) -> UnixTime {
    key.since + KEY_PENDING_S
}

/// Returns the key of an algorithm in a state.
pub fn find(keys: &[KeyLife], algorithm: Algorithm, state: KeyState) -> Option<&KeyLife> {
    keys.iter().find(|key| key.algorithm == algorithm && key.state == state)
}

/// Runs the steps that are due. Leaves what another node has already done.
pub(crate) async fn perform(state: &State, step: Step) -> Result<(), ChangeError> {
    match step {
        Step::Prepare(algorithm) => prepare(state, Author::server(), algorithm, Role::Successor).await.map(|_| ()),
        Step::Activate(id) => activate(state, Author::server(), &id, None).await,
        Step::Retire(id) => {
            let mut changing = Changing::begin(state, Author::server()).await?;
            let Some(retiring) = still(&changing.registry, &id, KeyState::Retiring) else { return Ok(()) };
            changing.change.retire_key(&id).await?;
            let before = Some(view(&retiring));
            changing.finish(Entry { action: "key.retire", target: id, before, after: None }).await
        }
    }
}

/// Activates a pending key. The previous key then only verifies. Does nothing if the key is no longer pending, or if
/// another key signs than its predecessor.
pub(crate) async fn activate(
    state: &State,
    author: Author,
    id: &str,
    follows: Option<&str>,
) -> Result<(), ChangeError> {
    let mut changing = Changing::begin(state, author).await?;
    let Some(pending) = still(&changing.registry, id, KeyState::Pending) else { return Ok(()) };
    let active = find(changing.registry.keys().lives(), pending.algorithm, KeyState::Active).cloned();
    if follows.is_some_and(|id| active.as_ref().is_none_or(|active| active.id != id)) {
        return Ok(());
    }
    if let Some(active) = &active {
        changing.change.set_key_state(&active.id, KeyState::Retiring).await?;
    }
    changing.change.set_key_state(id, KeyState::Active).await?;
    let before = json!({ "active": active.map(|active| active.id) });
    let after = Some(json!({ "active": id }));
    changing.finish(Entry { action: "key.activate", target: id.to_owned(), before: Some(before), after }).await
}

/// Why a new key is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// No key signs with its algorithm yet.
    First,
    /// It follows the key that signs.
    Successor,
}

/// Creates a pending key. Returns `None` if there is one, or if another node was faster to create the first.
pub(crate) async fn prepare(
    state: &State,
    author: Author,
    algorithm: Algorithm,
    role: Role,
) -> Result<Option<KeyLife>, ChangeError> {
    let new = make_key(algorithm).await?;
    let mut changing = Changing::begin(state, author).await?;
    let has = |key_state| find(changing.registry.keys().lives(), algorithm, key_state).is_some();
    if has(KeyState::Pending) || (role == Role::First && has(KeyState::Active)) {
        return Ok(None);
    }
    new.insert(state, &mut changing.change, KeyState::Pending).await?;
    let after = json!({ "algorithm": algorithm.as_str(), "state": "pending" });
    let (action, target) = ("key.prepare", new.id.clone());
    changing.finish(Entry { action, target, before: None, after: Some(after) }).await?;
    Ok(still(&state.registry.current(), &new.id, KeyState::Pending))
}

/// A published key.
pub(crate) struct Published {
    /// Its ID, or `None` if another node has already taken the next step.
    pub(crate) id: Option<String>,
    /// Whether every live node can verify with it.
    pub(crate) is_seen: bool,
}

/// Publishes a pending key, creating one if necessary, and waits until every live node can verify with it. A node that
/// has not loaded the key would refuse its tokens.
pub(crate) async fn publish(
    state: &State,
    author: Author,
    algorithm: Algorithm,
    role: Role,
) -> Result<Published, ChangeError> {
    let pending = || find(state.registry.current().keys().lives(), algorithm, KeyState::Pending).cloned();
    if pending().is_none() {
        prepare(state, author, algorithm, role).await?;
    }
    let published = pending();
    let is_seen = nodes::wait_until_seen(state).await;
    Ok(Published { id: published.map(|key| key.id), is_seen })
}

/// Returns the key with this ID, if it is in this state.
fn still(registry: &Registry, id: &str, state: KeyState) -> Option<KeyLife> {
    registry.keys().lives().iter().find(|key| key.id == id && key.state == state).cloned()
}

/// Returns a key for display.
pub(crate) fn view(key: &KeyLife) -> Value {
    let in_state = |state, at| (key.state == state).then_some(at);
    json!({
        "id": key.id,
        "algorithm": key.algorithm.as_str(),
        "state": key.state.as_str(),
        "created_at": key.created_at,
        "since": key.since,
        "signs_at": in_state(KeyState::Pending, signs_at(key)),
        "ends_at": in_state(KeyState::Retiring, ends_at(key)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, state: KeyState, since: UnixTime) -> KeyLife {
        let algorithm = Algorithm::Es256;
        KeyLife { id: id.to_owned(), algorithm, state, created_at: 0, since, longest_lifetime_s: 3600 }
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_verifies_until_its_last_token_expires() {
        use KeyState::{Active, Pending, Retiring};
        let at = |keys: &[KeyLife], now| plan(keys, now, 10_000);
        let active = [key("a", Active, 0)];
        assert_eq!(at(&active, 9_099), []);
        assert_eq!(at(&active, 9_100), [Step::Prepare(Algorithm::Es256)]);
        let both = [key("a", Active, 0), key("p", Pending, 9_100)];
        assert_eq!(at(&both, 9_999), []);
        assert_eq!(at(&both, 10_000), [Step::Activate("p".to_owned())]);
        let after = [key("r", Retiring, 10_000), key("a", Active, 10_000)];
        assert_eq!(at(&after, 13_659), []);
        assert_eq!(at(&after, 13_660), [Step::Retire("r".to_owned())]);
    }
}
