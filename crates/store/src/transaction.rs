//! Write transactions, retried when the database aborts one in favor of another.

use std::time::Duration;

use tokio::time::sleep;

use crate::database::Store;
use crate::error::StoreError;

/// How often a write is tried before the conflict is reported.
const TRIES: u32 = 5;
/// The pause after the first try. It increases with each try.
const PAUSE: Duration = Duration::from_millis(10);

/// Runs a block in a durable transaction and returns its result. Retries after a deadlock (40P01) or a serialization
/// failure (40001), so the block must not keep state between tries.
///
/// Transactions that need the change counter lock it first, and the rows of a table are locked in the order of its key, so
/// that nodes cannot deadlock. Retries are for other programs and our own bugs.
///
/// A macro, because the compiler cannot prove that a future of an async closure is `Send`.
macro_rules! transact {
    ($store:expr, |$transaction:ident| $work:block) => {{
        let mut tries = $crate::transaction::Tries::default();
        loop {
            let mut begun = $store.begin_write().await?;
            let $transaction = &mut begun;
            let done = async { $work }.await;
            let done = match done {
                Ok(done) => begun.commit().await.map(|()| done).map_err($crate::error::StoreError::from),
                Err(error) => {
                    // Releases the connection before the pause.
                    drop(begun);
                    Err(error)
                }
            };
            if let Some(done) = tries.judge(done).await {
                break done;
            }
        }
    }};
}

pub(crate) use transact;

/// How often a write was tried.
#[derive(Debug, Default)]
pub struct Tries(u32);

impl Tries {
    /// Returns the result of a try, or `None` after a pause if it must be retried.
    pub(crate) async fn judge<T>(&mut self, done: Result<T, StoreError>) -> Option<Result<T, StoreError>> {
        if matches!(done, Err(StoreError::Conflict(_))) && self.has_another().await { None } else { Some(done) }
    }

    /// Counts a try that was aborted. Pauses and returns true if another try is left.
    pub async fn has_another(&mut self) -> bool {
        self.0 += 1;
        if self.0 == TRIES {
            return false;
        }
        sleep(PAUSE * self.0).await;
        true
    }
}

impl Store {
    /// Runs one statement with these numbers durably. Returns the number of changed rows.
    pub(crate) async fn execute(&self, statement: &'static str, numbers: &[i64]) -> Result<u64, StoreError> {
        transact!(self, |transaction| {
            let query = numbers.iter().fold(sqlx::query(statement), |query, number| query.bind(*number));
            Ok(query.execute(&mut **transaction).await?.rows_affected())
        })
    }
}
