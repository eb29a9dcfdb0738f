//! Writes that wait to share a transaction. What each of them writes is known only where it comes from.

use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::{Any, Transaction};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::change_counter::raise_change;
use crate::error::StoreError;

/// What has waited longer is not written any more: soon its caller is told that it was not.
const MAX_WAIT: Duration = Duration::from_secs(4);

/// A write that may share its transaction: whatever comes of it, the others stand.
pub(crate) trait SharedWrite: Debug + Send + Sync {
    /// Writes, and returns whether that changed anything. Done again, if need be, in another transaction.
    fn write<'a>(&'a self, shared: &'a mut SharedTransaction<'_>) -> BoxFuture<'a, Result<bool, StoreError>>;
}

/// A transaction that writes share, and the number of the change that it is, once one of them asks for it.
pub(crate) struct SharedTransaction<'t> {
    pub(crate) transaction: &'t mut Transaction<'static, Any>,
    change: Option<i64>,
}

impl<'t> SharedTransaction<'t> {
    pub(crate) fn new(transaction: &'t mut Transaction<'static, Any>) -> Self {
        Self { transaction, change: None }
    }

    /// The number of the change that the transaction is. The first call raises the change counter.
    pub(crate) async fn change(&mut self) -> Result<i64, StoreError> {
        Ok(match self.change {
            Some(change) => change,
            None => *self.change.insert(raise_change(self.transaction).await?),
        })
    }
}

/// Who is told whether a write changed anything.
pub(crate) type Answer = oneshot::Sender<Result<bool, StoreError>>;

/// A write that waits, and since when.
type Waiting = (Instant, Box<dyn SharedWrite>, Answer);

/// The writes that wait, and the turn to write them all.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    waiting: Mutex<Vec<Waiting>>,
    pub(crate) turn: tokio::sync::Mutex<()>,
}

impl WriteQueue {
    pub(crate) fn add(&self, write: Box<dyn SharedWrite>, answer: Answer) {
        self.lock().push((now(), write, answer));
    }

    /// Takes the first `most` of those that are still in time; the others hear that they were given up.
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
