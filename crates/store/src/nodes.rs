//! The nodes that share a database. Their heartbeats show that they are running, and what they have read.

use sqlx::Row;

use crate::database::Store;
use crate::error::StoreError;
use crate::list_column::{list, words};
use crate::statement::statements;

statements! {
    BEAT = "INSERT INTO nodes (id, seen_at_ms, registry_change, sealing_keys) \
         VALUES ($1, (SELECT now_ms FROM database_clock), $2, $3) ON CONFLICT (id) DO UPDATE \
         SET seen_at_ms = excluded.seen_at_ms, registry_change = CASE \
         WHEN excluded.registry_change > nodes.registry_change THEN excluded.registry_change \
         ELSE nodes.registry_change END, sealing_keys = excluded.sealing_keys";
    LIST = "SELECT id, (SELECT now_ms FROM database_clock) - seen_at_ms, registry_change, sealing_keys FROM nodes ORDER BY id";
    DELETE_NODE = "DELETE FROM nodes WHERE id = $1";
    DELETE_SILENT = "DELETE FROM nodes WHERE seen_at_ms < (SELECT now_ms FROM database_clock) - $1";
}

/// A node, as of its last heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its ID, which is new at each start.
    pub id: String,
    /// Milliseconds since the heartbeat by the database's clock. Negative if that clock was set back.
    pub silent_ms: i64,
    /// The registry change that it had read.
    pub registry_change: i64,
    /// The checks of the sealing keys that it knows. Empty if its version is too old to report them.
    pub sealing_keys: Vec<String>,
}

impl Store {
    /// Writes a node's heartbeat without raising a counter. Does nothing on SQLite, where only one process exists and a write
    /// costs an fsync.
    pub async fn beat(&self, node_id: &str, registry_change: i64, sealing_keys: &[&str]) -> Result<(), StoreError> {
        if self.is_shared() {
            let beat = sqlx::query(BEAT).bind(node_id.to_owned()).bind(registry_change);
            let beat = beat.bind(list(sealing_keys.iter().copied()));
            beat.execute(self.follower()).await?;
        }
        Ok(())
    }

    /// Lists every node that was not deleted, including crashed ones.
    pub async fn list_nodes(&self) -> Result<Vec<Node>, StoreError> {
        let rows = sqlx::query(LIST).fetch_all(self.follower()).await?;
        let node = |row: &sqlx::any::AnyRow| {
            let sealing_keys: Option<String> = row.try_get(3)?;
            Ok(Node {
                id: row.try_get(0)?,
                silent_ms: row.try_get(1)?,
                registry_change: row.try_get(2)?,
                sealing_keys: words(sealing_keys.as_deref().unwrap_or_default()).map(str::to_owned).collect(),
            })
        };
        rows.iter().map(node).collect()
    }

    /// Deletes a node that shuts down.
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
