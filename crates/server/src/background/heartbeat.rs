//! Tells the other nodes that this one is alive, and which change it has loaded.

use std::sync::atomic::Ordering;

use crate::background::report::report;
use crate::state::State;

/// Writes the heartbeat.
pub async fn run_once(state: &State) {
    let change = state.registry.current().change();
    match state.store.beat(&state.node_id, change, &state.registry.held_keys().checks()).await {
        Ok(()) => state.told_change.store(change, Ordering::Release),
        // The task that follows changes has already reported an unreachable database.
        Err(error) if state.registry.check_database().is_ok() => {
            report(state, "failed to write the heartbeat", &error);
        }
        Err(_) => {}
    }
}

/// Writes the heartbeat if a change was loaded since the last one, because another node may be waiting for that.
pub(super) async fn tell_what_was_read(state: &State) {
    if state.told_change.load(Ordering::Acquire) != state.registry.current().change() {
        run_once(state).await;
    }
}

/// Deletes the heartbeat at shutdown, so that nobody waits for this node.
pub async fn end(state: &State) {
    if let Err(error) = state.store.delete_node(&state.node_id).await {
        tracing::warn!(%error, "failed to delete the heartbeat");
    }
}
