//! The first key of an algorithm. It has no predecessor, so it signs as soon as every node can verify with it.

use countersign_protocol::jose::algorithm::Algorithm;
use countersign_store::KeyState;

use crate::admin::change::Author;
use crate::admin::change_error::ChangeError;
use crate::keys::new_key::make_first_key;
use crate::keys::rotation::{Role, activate, find, publish};
use crate::operations::nodes;
use crate::state::State;

/// Creates a key for each algorithm in use that has none.
pub async fn provide_missing(state: &State) -> Result<(), ChangeError> {
    let missing = state.registry.current().missing_keys().to_vec();
    for algorithm in missing {
        provide(state, algorithm).await?;
    }
    Ok(())
}

/// Creates a key that signs, unless there is one. Nodes that do this at the same time create one key.
pub(crate) async fn provide(state: &State, algorithm: Algorithm) -> Result<(), ChangeError> {
    let registry = state.registry.current().clone();
    let has = |key_state| find(registry.keys().lives(), algorithm, key_state).is_some();
    if has(KeyState::Active) {
        return Ok(());
    }
    if !has(KeyState::Pending) && nodes::is_alone(state).await? {
        make_first_key(state, algorithm).await?;
        return Ok(state.follow().await?);
    }
    // Created by a node that has stopped since, or by one that does the same now. Any node can take the next step.
    match publish(state, Author::server(), algorithm, Role::First).await?.id {
        Some(id) => activate(state, Author::server(), &id, None).await,
        None => Ok(()),
    }
}
