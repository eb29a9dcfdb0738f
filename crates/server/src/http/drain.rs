//! Telling connections to end, and waiting until they have.

use tokio::sync::watch::{Receiver, Sender, channel};

/// Knows every connection that is under way.
pub(super) struct Drain(Sender<bool>);

/// A connection's part: while it lives, the connection does.
pub(super) struct Draining(Receiver<bool>);

impl Drain {
    pub fn new() -> Self {
        Self(channel(false).0)
    }

    /// For one connection.
    pub(super) fn watch(&self) -> Draining {
        Draining(self.0.subscribe())
    }

    /// Returns once no connection is left.
    pub(super) async fn ended(&self) {
        self.0.closed().await;
    }

    /// Tells all connections to end, and waits until the last has.
    pub async fn finish(self) {
        self.0.send_replace(true);
        self.ended().await;
    }
}

impl Draining {
    /// Returns once the connection is to end.
    pub(super) async fn told(&mut self) {
        // Who can no longer tell has ended too.
        let _ = self.0.wait_for(|told| *told).await;
    }
}
