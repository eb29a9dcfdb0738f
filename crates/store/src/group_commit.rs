//! Group commit: on SQLite, small writes that wait for its one connection share a transaction, and so its fsync.
//!
//! On PostgreSQL each goes by itself: connections are many there, the engine groups commits, and two nodes that each held
//! the rows of several writes could wait for each other.

use countersign_protocol::refusal::DatabaseTrouble;
use sqlx::{Any, Transaction};
use tokio::sync::oneshot;

use crate::database::Store;
use crate::error::StoreError;
use crate::transaction::transact;
use crate::write_queue::{Answer, SharedTransaction, SharedWrite, WriteQueue};

/// The most writes of one transaction, so that whoever waits for the connection waits for milliseconds.
const MAX_WRITES: usize = 100;

impl Store {
    /// Writes durably; returns whether that changed anything.
    pub(crate) async fn write(&self, write: impl SharedWrite + 'static) -> Result<bool, StoreError> {
        let Some(queue) = self.write_queue() else {
            return self.write_alone(&write).await;
        };
        let (answer, mut answered) = oneshot::channel();
        queue.add(Box::new(write), answer);
        loop {
            // Who has the turn writes for all; the others are answered before theirs comes.
            tokio::select! {
                biased;
                answer = &mut answered => return answer.unwrap_or_else(|_| Err(given_up())),
                _turn = queue.turn.lock() => self.write_waiting(queue).await,
            }
        }
    }

    async fn write_waiting(&self, queue: &WriteQueue) {
        // Until the connection is free, more may come to wait. What one cannot begin, none can.
        let begun = self.begin_write().await;
        let (writes, answers) = queue.take(if begun.is_ok() { MAX_WRITES } else { usize::MAX });
        let written = match begun {
            Ok(mut transaction) => match write_all(&mut transaction, &writes).await {
                Ok(changed) => transaction.commit().await.map(|()| changed).map_err(StoreError::from),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        // Who is not there any more needs no answer.
        let tell = |answer: Answer, result| drop(answer.send(result));
        match written {
            Ok(changed) => answers.into_iter().zip(changed).for_each(|(answer, changed)| tell(answer, Ok(changed))),
            Err(error @ StoreError::Unavailable(..)) => {
                answers.into_iter().for_each(|answer| tell(answer, Err(error.clone())));
            }
            // One of them cannot be written: the others can, each by itself.
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

/// Writes all, in the caller's transaction; returns what changed anything.
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

/// For those who waited too long, and those whose writer ended with the whole server.
fn given_up() -> StoreError {
    StoreError::Unavailable(DatabaseTrouble::Slow, "the write waited too long for its turn".to_owned())
}
