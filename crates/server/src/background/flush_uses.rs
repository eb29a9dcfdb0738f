//! Stores what was gathered of uses: when credentials were last used, and for how many tokens.

use crate::state::State;

/// Stores what was gathered; what cannot be stored is kept for the next time.
pub async fn run_once(state: &State) {
    let uses = state.uses.take();
    if !uses.is_empty()
        && let Err(error) = state.store.add_credential_uses(&uses).await
    {
        tracing::warn!(%error, "the uses of credentials could not be stored");
        state.uses.give_back(uses);
    }
    let tokens = state.uses.take_tokens();
    if !tokens.is_empty()
        && let Err(error) = state.store.add_token_counts(&tokens).await
    {
        tracing::warn!(%error, "the counts of tokens could not be stored");
        state.uses.give_back_tokens(tokens);
    }
}
