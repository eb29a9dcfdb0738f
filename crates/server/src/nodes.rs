//! The other nodes on this database: which are alive, and whether they have read what this one has.

use countersign_store::{Node, StoreError};
use tokio::time::{sleep, timeout};

use crate::background::follow_changes;
use crate::limits::{NODE_ALIVE_MS, SEEN_LOOK_INTERVAL, SEEN_TIMEOUT};
use crate::state::State;

/// True if no other node is alive.
pub(crate) async fn is_alone(state: &State) -> Result<bool, StoreError> {
    Ok(list_others(state).await?.is_empty())
}

/// Waits until every live node has read all that this one has, for at most [`SEEN_TIMEOUT`]; false if one has not.
///
/// A node that does not answer is not waited for any longer: what the caller is about to do may be urgent.
pub(crate) async fn wait_until_seen(state: &State) -> bool {
    let change = state.registry.current().change();
    match timeout(SEEN_TIMEOUT, wait_for(state, change)).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => tracing::warn!(%error, "it is not known what the other nodes have read"),
        Err(_) => tracing::warn!("another node does not read the changes: tokens may be refused there for a moment"),
    }
    false
}

async fn wait_for(state: &State, change: i64) -> Result<(), StoreError> {
    while list_others(state).await?.iter().any(|node| node.registry_change < change) {
        sleep(SEEN_LOOK_INTERVAL).await;
        // Two nodes may wait for each other, and at a start nothing else here reads.
        follow_changes::run_once(state).await;
    }
    Ok(())
}

/// The other nodes that are alive, by the database's own clock: the clocks of nodes differ.
async fn list_others(state: &State) -> Result<Vec<Node>, StoreError> {
    let mut nodes = state.store.list_nodes().await?;
    nodes.retain(|node| *node.id != *state.node_id && is_alive(node));
    Ok(nodes)
}

/// True if a node's last heartbeat is recent. One far in the future is one from before the database's clock was set back.
pub(crate) fn is_alive(node: &Node) -> bool {
    node.silent_ms.abs() < NODE_ALIVE_MS
}
