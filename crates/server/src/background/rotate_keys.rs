//! Runs the steps of key rotation that are due. One of all nodes does this, using a lease.

use crate::background::lease::holds_lease;
use crate::background::report::report_problem;
use crate::keys::rotation::{perform, plan};
use crate::limits::LEASE_S;
use crate::state::State;

const LEASE: &str = "rotate keys";

/// Runs each step that is due. A failed step is retried the next time.
pub async fn run_once(state: &State) {
    let now = state.now();
    let due = plan(state.registry.current().keys().lives(), now, state.rotate_keys_after_s);
    if due.is_empty() || !holds_lease(state, LEASE, LEASE_S).await {
        return;
    }
    for step in due {
        if let Err(problem) = perform(state, step).await {
            report_problem(state, "a step of the key rotation failed and will be retried", &problem);
        }
    }
}
