//! Stores what was refused, some of each kind whole and the rest as counts.

use crate::state::State;

/// Stores what is not stored yet; what cannot be is kept for the next time, and is in the log all the same.
pub async fn run_once(state: &State) {
    let (refusals, counts) = state.refusals.take();
    if refusals.is_empty() && counts.is_empty() {
        return;
    }
    if let Err(error) = state.store.add_refusals(&refusals, &counts).await {
        let trouble = state.store_failed(&error);
        tracing::debug!(%trouble, "refusals could not be stored");
        state.refusals.give_back(refusals, counts);
    }
}
