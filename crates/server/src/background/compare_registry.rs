//! Compares what this node decides on with the database, in case that something was changed that nothing told of.

use crate::keys::error::KeyRingError;
use crate::state::State;

/// Loads the registry anew if it is not the same; while the database is lost, nothing.
pub async fn run_once(state: &State) {
    match state.registry.compare(&state.store).await {
        Ok(true) => {}
        Ok(false) => tracing::error!("the registry differed from the database and was reloaded"),
        Err(KeyRingError::Store(_)) if state.registry.check_database().is_err() => {}
        Err(error) => tracing::warn!(%error, "failed to compare the registry with the database"),
    }
}
