//! Reads the change counter and loads what is newer, so that a change is on every node within a second.

use countersign_protocol::refusal::Refusal;
use tokio::time::timeout;

use crate::background::heartbeat;
use crate::keys::error::KeyRingError;
use crate::limits::FOLLOW_TIMEOUT;
use crate::state::State;

/// Brings the registry up to the database, and tells the other nodes so.
///
/// A failure is logged once; when it lasts longer than the registry may be old, requests are refused.
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

/// A lost database is told once; what else is wrong with it, once a minute.
fn note(state: &State, was_lost: bool, error: &KeyRingError) {
    match error {
        KeyRingError::Store(error) if state.registry.check_database().is_ok() => {
            if let Refusal::Internal(reason) = state.store_failed(error)
                && state.registry.is_to_be_told()
            {
                tracing::error!(reason, "failed to read the registry");
            }
        }
        error if !was_lost => tracing::error!(reason = %error, "failed to read the registry"),
        _ => {}
    }
}
