//! Erases the salts of refresh tokens that can no longer be used repeatedly.

use crate::background::report::report;
use crate::state::State;

/// Erases the salts whose retry time has passed.
pub async fn run_once(state: &State) {
    if let Err(error) = state.store.forget_refresh_retries(state.now()).await {
        report(state, "failed to erase the salts of refresh tokens", &error);
    }
}
