//! Stores when credentials were last used.

use crate::state::State;

/// Stores what was gathered; what cannot be stored is kept for the next time.
pub async fn run_once(state: &State) {
    let uses = state.uses.take();
    if uses.is_empty() {
        return;
    }
    if let Err(error) = state.store.add_credential_uses(&uses).await {
        tracing::warn!(%error, "the uses of credentials could not be stored");
        state.uses.give_back(uses);
    }
}
