//! Reads the change counter and loads what is newer, so that a change is on every node within a second.

use tokio::time::timeout;

use crate::background::heartbeat;
use crate::limits::FOLLOW_TIMEOUT;
use crate::state::State;

/// Brings the registry up to the database, and tells the other nodes so.
///
/// A failure is logged once; when it lasts longer than the registry may be old, requests are refused.
pub async fn run_once(state: &State) {
    let was_lost = state.registry.check_database().is_err();
    match timeout(FOLLOW_TIMEOUT, state.follow()).await {
        Ok(Ok(())) if was_lost => tracing::info!("the registry is read again"),
        Ok(Ok(())) => {}
        Ok(Err(error)) => note_loss(state, was_lost, &error.to_string()),
        Err(_) => note_loss(state, was_lost, "the database does not answer in time"),
    }
    if timeout(FOLLOW_TIMEOUT, heartbeat::tell_what_was_read(state)).await.is_err() {
        tracing::warn!("the heartbeat is not written in time");
    }
}

fn note_loss(state: &State, was_lost: bool, reason: &str) {
    state.registry.mark_lost();
    if !was_lost {
        tracing::error!(reason, "the registry cannot be read");
    }
}
