//! The nodes that share a database: each writes a heartbeat, by which the others know that it is alive and what it has read.

use sqlx::Row;

use crate::database::Store;
use crate::error::StoreError;
use crate::statement::statements;

statements! {
    BEAT = "INSERT INTO nodes (id, seen_at_ms, registry_change) \
         VALUES ($1, (SELECT now_ms FROM database_clock), $2) ON CONFLICT (id) DO UPDATE \
         SET seen_at_ms = excluded.seen_at_ms, registry_change = CASE \
         WHEN excluded.registry_change > nodes.registry_change THEN excluded.registry_change \
         ELSE nodes.registry_change END";
    LIST = "SELECT id, (SELECT now_ms FROM database_clock) - seen_at_ms, registry_change FROM nodes ORDER BY id";
    DELETE_NODE = "DELETE FROM nodes WHERE id = $1";
    DELETE_SILENT = "DELETE FROM nodes WHERE seen_at_ms < (SELECT now_ms FROM database_clock) - $1";
}

/// A node, by its last heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id, new at each start.
    pub id: String,
    /// Milliseconds since the heartbeat, by the database's clock; below 0 if that clock was set back.
    pub silent_ms: i64,
    /// The registry change that it had read by then.
    pub registry_change: i64,
}

impl Store {
    /// Writes a node's heartbeat. It raises no counter. On SQLite it does nothing: there is one process, so nobody would read
    /// it, and a write costs an fsync.
    pub async fn beat(&self, node_id: &str, registry_change: i64) -> Result<(), StoreError> {
        if self.is_shared() {
            let beat = sqlx::query(BEAT).bind(node_id.to_owned()).bind(registry_change);
            beat.execute(self.follower()).await?;
        }
        Ok(())
    }

    /// Every node that has not been deleted, also those that ended without a word.
    pub async fn list_nodes(&self) -> Result<Vec<Node>, StoreError> {
        let rows = sqlx::query(LIST).fetch_all(self.follower()).await?;
        let node = |row: &sqlx::any::AnyRow| {
            Ok(Node { id: row.try_get(0)?, silent_ms: row.try_get(1)?, registry_change: row.try_get(2)? })
        };
        rows.iter().map(node).collect()
    }

    /// Deletes a node that ends.
    pub async fn delete_node(&self, node_id: &str) -> Result<(), StoreError> {
        if self.is_shared() {
            sqlx::query(DELETE_NODE).bind(node_id.to_owned()).execute(self.follower()).await?;
        }
        Ok(())
    }

    /// Deletes the nodes whose last heartbeat is older than this.
    pub async fn delete_silent_nodes(&self, silent_ms: i64) -> Result<u64, StoreError> {
        if !self.is_shared() {
            return Ok(0);
        }
        self.execute(DELETE_SILENT, &[silent_ms]).await
    }
}
