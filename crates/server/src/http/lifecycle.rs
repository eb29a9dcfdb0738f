//! The phase of a process: starting, ready, stopping. Load balancers use it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Starting, until another phase is set.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    ready: AtomicBool,
    stopping: AtomicBool,
    told: Notify,
}

impl Lifecycle {
    /// Marks the process as ready: `/readyz` may return 200.
    pub(crate) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Marks the process as stopping: new connections should go elsewhere.
    pub(crate) fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    /// True once it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// True once it is stopping.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Returns once it is stopping.
    pub(crate) async fn stopping(&self) {
        let mut told = std::pin::pin!(self.told.notified());
        // Registered before the check, so that a change between the check and the wait is noticed.
        told.as_mut().enable();
        if !self.is_stopping() {
            told.await;
        }
    }
}
