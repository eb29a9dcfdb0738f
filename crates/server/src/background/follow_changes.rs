//! Reads the change counter and loads newer changes, so that each change reaches every node within a second.

use countersign_protocol::refusal::Refusal;
use tokio::time::timeout;

use crate::background::heartbeat;
use crate::keys::error::KeyRingError;
use crate::limits::FOLLOW_TIMEOUT;
use crate::state::State;

/// Updates the registry from the database, and tells the other nodes.
///
/// A failure is logged once. If it lasts longer than a registry may be old, requests are refused.
pub async fn run_once(state: &State) {
    let was_lost = state.registry.check_database().is_err();
    match state.follow().await {
        Ok(()) if was_lost => tracing::info!("the registry is up to date again"),
        Ok(()) => {}
        Err(error) => note(state, was_lost, &error),
    }
    if timeout(FOLLOW_TIMEOUT, heartbeat::tell_what_was_read(state)).await.is_err() {
        tracing::warn!("the heartbeat was not written in time");
    }
}

/// Logs an unreachable database once, and other failures once a minute.
fn note(state: &State, was_lost: bool, error: &KeyRingError) {
    match error {
        KeyRingError::Store(error) if state.registry.check_database().is_ok() => {
            if let Refusal::Internal(reason) = state.store_failed(error)
                && state.registry.is_to_be_told()
            {
                tracing::error!(reason, "failed to read the registry");
            }
        }
        KeyRingError::Store(error) if !was_lost => tracing::error!(reason = %error, "failed to read the registry"),
        KeyRingError::Store(_) => {}
        KeyRingError::Sealed(..) | KeyRingError::Key(..) | KeyRingError::OtherSealingKey | KeyRingError::Moved(_) => {
            if state.registry.is_to_be_told() {
                tracing::error!(reason = %error, "failed to read the registry");
            }
        }
    }
}
