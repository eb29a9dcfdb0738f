//! Erases the salts of refresh tokens whose time for repeated uses has passed.

use crate::background::report::report;
use crate::state::State;

/// Erases those whose time has passed now.
pub async fn run_once(state: &State) {
    if let Err(error) = state.store.forget_refresh_retries(state.now()).await {
        report(state, "failed to erase the salts of refresh tokens", &error);
    }
}
