//! Work that one node does for all nodes on its database.

use crate::background::report::report;
use crate::state::State;

/// True if this node should do the work that the lease is named after, because no other node has acquired the lease in
/// the last `hold_s` seconds.
pub(crate) async fn holds_lease(state: &State, name: &'static str, hold_s: i64) -> bool {
    let now = state.now();
    match state.store.take_lease(name, &state.node_id, now, now + hold_s).await {
        Ok(is_held) => is_held,
        Err(error) => {
            report(state, "failed to acquire a lease", &error);
            false
        }
    }
}
