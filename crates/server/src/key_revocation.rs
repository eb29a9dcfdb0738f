//! Ending a signing key before its time, such as one that leaked.

use countersign_protocol::jose::algorithm::Algorithm;
use countersign_store::KeyState;
use serde_json::json;

use crate::admin::change::{Author, Changing, Entry};
use crate::admin::problem::Problem;
use crate::key_ring::{KeyLife, NewKey, make_key};
use crate::key_rotation::{Role, find, publish, view};
use crate::registry::Registry;
use crate::state::State;

/// What takes over from a key that signs.
enum Successor {
    /// The pending key of this id, which every live node can verify by.
    Published(Option<String>),
    /// Whatever pending key there is, or else this one.
    Any(NewKey),
}

/// Ends a key at once, with every token that it signed. If it signs, its successor takes over in the same change: one that
/// every live node can verify with. If there is none, one is published first.
pub(crate) async fn revoke(state: &State, author: Author, id: &str) -> Result<(), Problem> {
    let key = find_known(&state.registry.current(), id)?;
    let published = match key.state {
        KeyState::Active => publish(state, author.clone(), key.algorithm, Role::Successor).await?,
        _ => None,
    };
    if end(state, author.clone(), id, Successor::Published(published)).await? {
        return Ok(());
    }
    // The keys were changed meanwhile, perhaps by the thief of the leaked key: with tokens of an administrator that they sign
    // themselves, they could end each successor before it takes over. So this does not wait again.
    let spare = make_key(&state.sealing, key.algorithm, &state.entropy).await?;
    end(state, author, id, Successor::Any(spare)).await.map(|_| ())
}

/// False if the key signs and the published one cannot take over: it is no longer, or not yet, pending.
async fn end(state: &State, author: Author, id: &str, successor: Successor) -> Result<bool, Problem> {
    let mut changing = Changing::begin(state, author).await?;
    let key = find_known(&changing.registry, id)?;
    changing.change.retire_key(id).await?;
    let mut after = None;
    if key.state == KeyState::Active {
        let Some(active) = hand_over(&mut changing, key.algorithm, successor).await? else { return Ok(false) };
        after = Some(json!({ "active": active }));
    }
    let before = Some(view(&key));
    changing.finish(Entry { action: "key.revoke", target: id.to_owned(), before, after }).await?;
    Ok(true)
}

/// Lets the successor sign; returns its id.
async fn hand_over(
    changing: &mut Changing<'_>,
    algorithm: Algorithm,
    successor: Successor,
) -> Result<Option<String>, Problem> {
    let pending = find(changing.registry.keys().lives(), algorithm, KeyState::Pending).map(|key| key.id.clone());
    let active = match (pending, successor) {
        (None, Successor::Any(NewKey { id, sealed_pkcs8 })) => {
            changing.change.insert_key(&id, algorithm, KeyState::Active, &sealed_pkcs8).await?;
            return Ok(Some(id));
        }
        (pending, Successor::Published(published)) if pending != published => None,
        (pending, _) => pending,
    };
    if let Some(id) = &active {
        changing.change.set_key_state(id, KeyState::Active).await?;
    }
    Ok(active)
}

fn find_known(registry: &Registry, id: &str) -> Result<KeyLife, Problem> {
    let found = registry.keys().lives().iter().find(|key| key.id == id).cloned();
    found.ok_or_else(|| Problem::not_found("key", id))
}
