//! The lock for all changes of this node, and the limit on how many may wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign_protocol::refusal::Refusal;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

/// The maximum number of waiting changes of each kind. A change takes milliseconds, so that more would wait for
/// seconds.
const MAX_WAITING: usize = 64;
/// The maximum time that a change waits. After that, its caller has given up.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Who a change waits for. Each kind has its own limit, so that none can block another.
#[derive(Clone, Copy, Debug)]
pub enum Waiter {
    /// An administrator.
    Operator,
    /// A user who signs in or changes their own account.
    Person,
    /// The audit record of a lockout.
    Record,
    /// The server itself, without a limit: its changes are few, and none may be lost.
    Server,
}

/// A turn to make a change. Nobody else has one until it is dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedMutexGuard<()>);

/// Runs one change at a time on a node. Otherwise, changes that wait for the database's lock could use up all
/// connections, including the one that the first change needs.
#[derive(Debug, Default)]
pub struct ChangeQueue {
    lock: Arc<Mutex<()>>,
    /// In the order of [`Waiter`].
    waiting: [AtomicUsize; 4],
}

impl ChangeQueue {
    /// Waits for a turn. Refuses immediately if too many are waiting, and later if the wait was too long.
    pub async fn wait(&self, waiter: Waiter) -> Result<Turn, Refusal> {
        let _waiting = Waiting::enter(&self.waiting[waiter as usize], waiter)?;
        let locking = self.lock.clone().lock_owned();
        if matches!(waiter, Waiter::Server) {
            return Ok(Turn(locking.await));
        }
        let locked = timeout(MAX_WAIT, locking).await;
        Ok(Turn(locked.map_err(|_| Refusal::Overloaded("timed out waiting for other changes"))?))
    }

    /// True while nobody has a turn.
    pub(crate) fn is_free(&self) -> bool {
        self.lock.try_lock().is_ok()
    }
}

/// A waiting change, until this is dropped.
struct Waiting<'q>(&'q AtomicUsize);

impl<'q> Waiting<'q> {
    fn enter(waiting: &'q AtomicUsize, waiter: Waiter) -> Result<Self, Refusal> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let entered = Self(waiting);
        if before >= MAX_WAITING && !matches!(waiter, Waiter::Server) {
            return Err(Refusal::Overloaded("too many changes are waiting"));
        }
        Ok(entered)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
