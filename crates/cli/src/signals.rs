//! The signals by which a server is told to stop.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

/// SIGTERM and SIGINT, caught from now on.
pub(crate) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

/// Who told a server to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGTERM: a supervisor, which may have a balancer in front of the server.
    Terminate,
    /// SIGINT: a person at a terminal, who waits.
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

    /// Waits so long, or until the next signal.
    pub(crate) async fn wait_at_most(&mut self, limit: Duration) {
        tokio::select! {
            () = sleep(limit) => {}
            _ = self.wait() => tracing::info!("told again to stop: no longer waiting for balancers"),
        }
    }
}
