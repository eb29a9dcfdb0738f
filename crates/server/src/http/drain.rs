//! Tells connections to end, and waits until they have ended.

use tokio::sync::watch::{Receiver, Sender, channel};

/// Tracks every open connection.
pub(super) struct Drain(Sender<bool>);

/// A connection's handle. The connection counts as open until it is dropped.
pub(super) struct Draining(Receiver<bool>);

impl Drain {
    pub fn new() -> Self {
        Self(channel(false).0)
    }

    /// Creates a handle for a connection.
    pub(super) fn watch(&self) -> Draining {
        Draining(self.0.subscribe())
    }

    /// Returns once no connection is left.
    pub(super) async fn ended(&self) {
        self.0.closed().await;
    }

    /// Tells all connections to end, and waits until the last one has ended.
    pub async fn finish(self) {
        self.0.send_replace(true);
        self.ended().await;
    }
}

impl Draining {
    /// Returns once the connection should end.
    pub(super) async fn told(&mut self) {
        // If the sender is gone, the server has ended.
        let _ = self.0.wait_for(|told| *told).await;
    }
}
