//! Stores the collected uses: when credentials were last used, and for how many tokens.

use crate::background::report::report;
use crate::state::State;
use crate::usage::uses::Use;

/// Stores the collected uses. Keeps what cannot be stored for the next time.
pub async fn run_once(state: &State) {
    let taken = state.uses.take();
    if taken.is_empty() {
        return;
    }
    let uses = taken.values().map(Use::to_use).collect();
    let tokens = taken.values().flat_map(Use::to_counts).collect();
    if let Err(error) = state.store.add_uses(uses, tokens).await {
        report(state, "failed to store the use counts", &error);
        state.uses.give_back(taken);
    }
}
