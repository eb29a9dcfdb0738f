//! Compares this node's registry with the database, in case a change was missed.

use crate::keys::error::KeyRingError;
use crate::state::State;

/// Reloads the registry if it differs. Does nothing while the database is unreachable.
pub async fn run_once(state: &State) {
    match state.registry.compare(&state.store).await {
        Ok(true) => {}
        Ok(false) => tracing::error!("the registry differed from the database and was reloaded"),
        Err(KeyRingError::Store(_)) if state.registry.check_database().is_err() => {}
        Err(error) => tracing::warn!(%error, "failed to compare the registry with the database"),
    }
}
