//! Stores what was refused, some of each kind whole and the rest as counts.

use countersign_protocol::refusal::Refusal;

use crate::state::State;

/// Stores what is not stored yet; what cannot be is kept for the next time, and is in the log all the same.
pub async fn run_once(state: &State) {
    let (refusals, counts) = state.refusals.take();
    if refusals.is_empty() && counts.is_empty() {
        return;
    }
    if let Err(error) = state.store.add_refusals(&refusals, &counts).await {
        match state.store_failed(&error) {
            Refusal::DatabaseUnavailable(_) => state.refusals.give_back(refusals, counts),
            // They would fail again.
            _ => tracing::warn!(%error, "failed to store refusals"),
        }
    }
}
