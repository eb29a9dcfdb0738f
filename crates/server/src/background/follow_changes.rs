//! Reads the change counter and loads what is newer, so that a change is on every node within a second.

use tokio::time::timeout;

use crate::limits::FOLLOW_TIMEOUT;
use crate::state::State;

/// Brings the registry up to the database. A failure is logged; once it lasts too long the registry is stale.
pub async fn run_once(state: &State) {
    let was_lost = state.registry.check_database().is_err();
    let failure = match timeout(FOLLOW_TIMEOUT, state.follow()).await {
        Ok(Ok(())) => {
            if was_lost {
                tracing::info!("the database answers again");
            }
            return;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it does not answer in time".to_owned(),
    };
    state.registry.mark_lost();
    if !was_lost {
        tracing::error!(reason = failure, "the registry cannot be read");
    }
}
