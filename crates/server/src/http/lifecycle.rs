//! Where a process is in its life: starting, ready, stopping. Balancers go by it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Starting, until something else is said.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    ready: AtomicBool,
    stopping: AtomicBool,
    told: Notify,
}

impl Lifecycle {
    /// Everything that was promised before `/readyz` answers 200 is done.
    pub(crate) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// It ends soon: connections are to be made elsewhere.
    pub(crate) fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    /// True once it was ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// True once it ends soon.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Returns once it ends soon.
    pub(crate) async fn stopping(&self) {
        let mut told = std::pin::pin!(self.told.notified());
        // Before the look: what is said between the look and the wait is heard, too.
        told.as_mut().enable();
        if !self.is_stopping() {
            told.await;
        }
    }
}
