//! Writes that wait to share a transaction.

use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::{Any, Transaction};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::change_counter::raise_change;
use crate::error::StoreError;

/// A write that waited longer is dropped, because its caller is about to time out.
const MAX_WAIT: Duration = Duration::from_secs(4);

/// A write that may share its transaction. Its outcome does not affect the others.
pub(crate) trait SharedWrite: Debug + Send + Sync {
    /// Writes, and returns whether anything changed. May be repeated in another transaction.
    fn write<'a>(&'a self, shared: &'a mut SharedTransaction<'_>) -> BoxFuture<'a, Result<bool, StoreError>>;
}

/// A shared transaction, and the number of its change once a write needs it.
pub(crate) struct SharedTransaction<'t> {
    pub(crate) transaction: &'t mut Transaction<'static, Any>,
    change: Option<i64>,
}

impl<'t> SharedTransaction<'t> {
    pub(crate) fn new(transaction: &'t mut Transaction<'static, Any>) -> Self {
        Self { transaction, change: None }
    }

    /// Returns the number of this transaction's change. The first call raises the change counter.
    pub(crate) async fn change(&mut self) -> Result<i64, StoreError> {
        Ok(match self.change {
            Some(change) => change,
            None => *self.change.insert(raise_change(self.transaction).await?),
        })
    }
}

/// Receives the result of a write.
pub(crate) type Answer = oneshot::Sender<Result<bool, StoreError>>;

/// A waiting write, and since when it waits.
type Waiting = (Instant, Box<dyn SharedWrite>, Answer);

/// The waiting writes, and the turn to write them all.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    waiting: Mutex<Vec<Waiting>>,
    pub(crate) turn: tokio::sync::Mutex<()>,
}

impl WriteQueue {
    pub(crate) fn add(&self, write: Box<dyn SharedWrite>, answer: Answer) {
        self.lock().push((now(), write, answer));
    }

    /// Takes the first `most` writes that are in time. Drops the late ones, whose callers get an error.
    pub(crate) fn take(&self, most: usize) -> (Vec<Box<dyn SharedWrite>>, Vec<Answer>) {
        let (mut waiting, now) = (self.lock(), now());
        waiting.retain(|(since, ..)| now.duration_since(*since) < MAX_WAIT);
        let taken = waiting.len().min(most);
        waiting.drain(..taken).map(|(_, write, answer)| (write, answer)).unzip()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::disallowed_methods, reason = "measures a wait; nothing that is stored depends on it")]
fn now() -> Instant {
    Instant::now()
}
