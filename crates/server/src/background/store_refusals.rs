//! Stores refusals: some of each kind individually, and the others as counts.

use countersign_protocol::refusal::Refusal;

use crate::state::State;

/// Stores new refusals. Keeps what cannot be stored for the next time. It is in the log in any case.
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
