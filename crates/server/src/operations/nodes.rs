//! The other nodes on this database: which are alive, and whether they have loaded what this one has.

use countersign_store::{Node, Store, StoreError};
use tokio::time::{sleep, timeout};

use crate::background::follow_changes;
use crate::limits::{HEARTBEAT_INTERVAL, NODE_ALIVE_MS, SEEN_LOOK_INTERVAL, SEEN_TIMEOUT};
use crate::state::State;

/// True if no other node is alive.
pub(crate) async fn is_alone(state: &State) -> Result<bool, StoreError> {
    Ok(list_others(state).await?.is_empty())
}

/// Waits until every live node has loaded everything that this one has, for at most [`SEEN_TIMEOUT`]. Returns false if
/// one has not.
///
/// Does not wait longer for an unresponsive node, because the caller's action may be urgent.
pub(crate) async fn wait_until_seen(state: &State) -> bool {
    let change = state.registry.current().change();
    match timeout(SEEN_TIMEOUT, wait_for(state, change)).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => tracing::warn!(%error, "failed to read which changes the other nodes have loaded"),
        Err(_) => tracing::warn!("another node has not loaded the change: it may refuse new tokens for a moment"),
    }
    false
}

async fn wait_for(state: &State, change: i64) -> Result<(), StoreError> {
    while list_others(state).await?.iter().any(|node| node.registry_change < change) {
        sleep(SEEN_LOOK_INTERVAL).await;
        // Two nodes may wait for each other, and during a start, nothing else reads here.
        follow_changes::run_once(state).await;
    }
    Ok(())
}

/// Returns the other live nodes, based on the database's clock, because the clocks of nodes differ.
async fn list_others(state: &State) -> Result<Vec<Node>, StoreError> {
    let mut nodes = state.store.list_nodes().await?;
    nodes.retain(|node| *node.id != *state.node_id && is_alive(node));
    Ok(nodes)
}

/// True if a node's last heartbeat is recent. A heartbeat far in the future is from before the database's clock was set
/// back.
pub(crate) fn is_alive(node: &Node) -> bool {
    node.silent_ms.abs() < NODE_ALIVE_MS
}

/// Returns a node that is using a database, for callers that are not a node. A heartbeat from a dump or from a killed
/// node is not followed by another one, so this waits until it is too old.
pub(crate) async fn find_living(store: &Store) -> Result<Option<Node>, StoreError> {
    if !store.has_table("nodes").await? {
        return Ok(None);
    }
    let mut before = store.list_nodes().await?;
    while before.iter().any(is_alive) {
        // More often than a node sends heartbeats. At the same interval, each check could find it equally silent.
        sleep(HEARTBEAT_INTERVAL / 4).await;
        let nodes = store.list_nodes().await?;
        let beats = |node: &&Node| before.iter().all(|seen| seen.id != node.id || node.silent_ms < seen.silent_ms);
        if let Some(node) = nodes.iter().filter(|node| is_alive(node)).find(beats) {
            return Ok(Some(node.clone()));
        }
        before = nodes;
    }
    Ok(None)
}
