//! Group commit: on SQLite, small writes that wait for the only write connection share a transaction and its fsync.
//!
//! On PostgreSQL, each write commits alone. It has many connections, it groups commits itself, and nodes that lock the
//! rows of several writes could deadlock.

use countersign_protocol::refusal::DatabaseTrouble;
use sqlx::{Any, Transaction};
use tokio::sync::oneshot;

use crate::database::Store;
use crate::error::StoreError;
use crate::transaction::transact;
use crate::write_queue::{Answer, SharedTransaction, SharedWrite, WriteQueue};

/// The largest number of writes in a transaction, so that others wait only milliseconds for the connection.
const MAX_WRITES: usize = 100;

impl Store {
    /// Writes durably. Returns whether anything changed.
    pub(crate) async fn write(&self, write: impl SharedWrite + 'static) -> Result<bool, StoreError> {
        let Some(queue) = self.write_queue() else {
            return self.write_alone(&write).await;
        };
        let (answer, mut answered) = oneshot::channel();
        queue.add(Box::new(write), answer);
        loop {
            // Whoever gets the turn writes for all. The others get their results before their own turn.
            tokio::select! {
                biased;
                answer = &mut answered => return answer.unwrap_or_else(|_| Err(given_up())),
                _turn = queue.turn.lock() => self.write_waiting(queue).await,
            }
        }
    }

    async fn write_waiting(&self, queue: &WriteQueue) {
        // More writes may arrive until the connection is free. If one write cannot begin, none can.
        let begun = self.begin_write().await;
        let (writes, answers) = queue.take(if begun.is_ok() { MAX_WRITES } else { usize::MAX });
        let written = match begun {
            Ok(mut transaction) => match write_all(&mut transaction, &writes).await {
                Ok(changed) => transaction.commit().await.map(|()| changed).map_err(StoreError::from),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        // A caller that has gone away needs no result.
        let tell = |answer: Answer, result| drop(answer.send(result));
        match written {
            Ok(changed) => answers.into_iter().zip(changed).for_each(|(answer, changed)| tell(answer, Ok(changed))),
            Err(error @ StoreError::Unavailable(..)) => {
                answers.into_iter().for_each(|answer| tell(answer, Err(error.clone())));
            }
            // One of the writes failed. Try each alone.
            Err(_) => {
                for (write, answer) in writes.iter().zip(answers) {
                    tell(answer, self.write_alone(&**write).await);
                }
            }
        }
    }

    async fn write_alone(&self, write: &dyn SharedWrite) -> Result<bool, StoreError> {
        transact!(self, |transaction| { write.write(&mut SharedTransaction::new(transaction)).await })
    }
}

/// Runs all writes in the caller's transaction. Returns which of them changed anything.
async fn write_all(
    transaction: &mut Transaction<'static, Any>,
    writes: &[Box<dyn SharedWrite>],
) -> Result<Vec<bool>, StoreError> {
    let mut shared = SharedTransaction::new(transaction);
    let mut changed = Vec::with_capacity(writes.len());
    for write in writes {
        changed.push(write.write(&mut shared).await?);
    }
    Ok(changed)
}

/// For a write that waited too long, or whose writer ended when the server did.
fn given_up() -> StoreError {
    StoreError::Unavailable(DatabaseTrouble::Slow, "the write waited too long in the queue".to_owned())
}
