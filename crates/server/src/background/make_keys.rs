//! Creates the first key of an algorithm if another node has created an API that uses it, but has not created the key.

use crate::background::report::report_problem;
use crate::keys::first_key::provide_missing;
use crate::state::State;

/// Creates a key for each algorithm in use that has none.
pub async fn run_once(state: &State) {
    if state.registry.check_database().is_err() {
        return;
    }
    if let Err(problem) = provide_missing(state).await {
        report_problem(state, "failed to create a signing key", &problem);
    }
}
