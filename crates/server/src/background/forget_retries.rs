//! Erases by what refresh tokens could be given again, once their time for that has passed.

use crate::state::State;

/// Erases what is past now.
pub async fn run_once(state: &State) {
    if let Err(error) = state.store.forget_refresh_retries(state.now()).await {
        tracing::warn!(%error, "the salts of refresh tokens could not be erased");
    }
}
