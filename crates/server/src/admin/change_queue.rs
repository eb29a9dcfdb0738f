//! The lock of all changes of this node, and how many may wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign_protocol::refusal::Refusal;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

/// Changes of one kind that wait at once: a change takes milliseconds, so that more would wait for seconds.
const MAX_WAITING: usize = 64;
/// A change waits this long at most: its caller has given up by then.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// For whom a change waits. Each kind has a bound of its own, so that none keeps out another.
#[derive(Clone, Copy, Debug)]
pub enum Waiter {
    /// An administrator.
    Operator,
    /// A person who signs in, or changes what is theirs.
    Person,
    /// The audit log, which is to have a lock-out.
    Record,
    /// The server itself: there are few of its changes, and none may be lost.
    Server,
}

/// A turn to change something: nobody else does until it is dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedMutexGuard<()>);

/// One change at a time on a node: many that wait for the database's lock must not take the connection that the first needs.
#[derive(Debug, Default)]
pub struct ChangeQueue {
    lock: Arc<Mutex<()>>,
    /// In the order of [`Waiter`].
    waiting: [AtomicUsize; 4],
}

impl ChangeQueue {
    /// Waits for a turn; refused at once if too many wait, and later if it took too long.
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

/// One that waits, until this is dropped.
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
