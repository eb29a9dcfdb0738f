//! Ending a signing key before its time, such as one that leaked.

use countersign_store::KeyState;
use serde_json::json;

use crate::admin::change::{Author, Changing, Entry};
use crate::admin::problem::Problem;
use crate::key_ring::KeyLife;
use crate::key_rotation::{Role, publish, still, view};
use crate::registry::Registry;
use crate::state::State;

/// A revocation begins again when somebody else has ended the successor meanwhile, this often at most.
const TRIES: usize = 5;

/// Ends a key at once, with every token that it signed. If it signs, its successor takes over in the same change: one that
/// every live node can verify by, published first if there is none.
pub(crate) async fn revoke(state: &State, author: Author, id: &str) -> Result<(), Problem> {
    for _ in 0..TRIES {
        let key = find_known(&state.registry.current(), id)?;
        let successor = match key.state {
            KeyState::Active => publish(state, author.clone(), key.algorithm, Role::Successor).await?,
            _ => None,
        };
        if end(state, author.clone(), id, successor.as_deref()).await? {
            return Ok(());
        }
    }
    Err(Problem::conflict("others are changing the signing keys, too, and this one was not ended: try again"))
}

/// False if the key signs and the successor cannot take over: it is no longer, or not yet, what it was taken for.
async fn end(state: &State, author: Author, id: &str, successor: Option<&str>) -> Result<bool, Problem> {
    let mut changing = Changing::begin(state, author).await?;
    let key = find_known(&changing.registry, id)?;
    changing.change.retire_key(id).await?;
    let mut after = None;
    if key.state == KeyState::Active {
        let pending = successor.and_then(|successor| still(&changing.registry, successor, KeyState::Pending));
        let Some(pending) = pending else { return Ok(false) };
        changing.change.set_key_state(&pending.id, KeyState::Active).await?;
        after = Some(json!({ "active": pending.id }));
    }
    let before = Some(view(&key));
    changing.finish(Entry { action: "key.revoke", target: id.to_owned(), before, after }).await?;
    Ok(true)
}

fn find_known(registry: &Registry, id: &str) -> Result<KeyLife, Problem> {
    let found = registry.keys().lives().iter().find(|key| key.id == id).cloned();
    found.ok_or_else(|| Problem::not_found("key", id))
}
