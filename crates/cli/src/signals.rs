//! The signals that stop a server.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

/// Catches SIGTERM and SIGINT.
pub(crate) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

/// Why the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGTERM: from a supervisor. There may be a load balancer in front of the server.
    Terminate,
    /// SIGINT: from a person at a terminal, who is waiting.
    Interrupt,
}

impl StopSignal {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(crate) async fn wait(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }

    /// Waits for this long, or until the next signal.
    pub(crate) async fn wait_at_most(&mut self, limit: Duration) {
        tokio::select! {
            () = sleep(limit) => {}
            _ = self.wait() => tracing::info!("received a second signal: no longer waiting for load balancers"),
        }
    }
}
