//! Signing keys follow each other without an outage: pending (published, not yet signing), active, retiring (verifying
//! only), retired. What is due is decided by a pure function; each step is a change like an administrator's.

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

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A successor is to be made.
    Prepare(Algorithm),
    /// The pending key of this id takes over.
    Activate(String),
    /// The retiring key of this id is of no use any more.
    Retire(String),
}

/// What is due at `now`, if a key signs for `rotate_after_s`.
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

/// From when on a retiring key has no living token.
pub(crate) fn ends_at(key: &KeyLife) -> UnixTime {
    key.since + key.longest_lifetime_s + KEY_MARGIN_S
}

/// Seconds that a key has been in its state.
pub(crate) fn age_s(key: &KeyLife, now: UnixTime) -> i64 {
    now - key.since
}

/// From when on a pending key signs.
pub(crate) fn signs_at(key: &KeyLife) -> UnixTime {
    key.since + KEY_PENDING_S
}

/// The key of an algorithm in a state.
pub fn find(keys: &[KeyLife], algorithm: Algorithm, state: KeyState) -> Option<&KeyLife> {
    keys.iter().find(|key| key.algorithm == algorithm && key.state == state)
}

/// Does what is due. What another node has done meanwhile is left as it is.
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

/// Lets a pending key sign; the one that signed before verifies only. Nothing happens if it is not pending any more, or if
/// another key signs than the one that it is to follow.
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

/// What a new key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing signs with its algorithm yet.
    First,
    /// It follows the key that signs.
    Successor,
}

/// Makes a pending key; `None` if there is one, or if another node was faster to make the first.
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

/// A key that was published.
pub(crate) struct Published {
    /// Its id; `None` if another node has taken it further meanwhile.
    pub(crate) id: Option<String>,
    /// Whether every live node can verify by it.
    pub(crate) is_seen: bool,
}

/// Publishes a pending key, made if need be, and waits until every live node can verify by it: a token by a key that another
/// node has not read would be refused there.
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

/// The key of this id, if it is in this state.
fn still(registry: &Registry, id: &str, state: KeyState) -> Option<KeyLife> {
    registry.keys().lives().iter().find(|key| key.id == id && key.state == state).cloned()
}

/// A key as it is shown.
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
    fn a_successor_is_published_before_it_signs_and_verifies_until_its_last_token_is_dead() {
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
