//! Writes: each in a transaction, done again when the database ended that in favour of another's.

use std::time::Duration;

use tokio::time::sleep;

use crate::database::Store;
use crate::error::StoreError;

/// How often a write is tried before the conflict is reported.
const TRIES: u32 = 5;
/// The pause after the first try; it grows with each.
const PAUSE: Duration = Duration::from_millis(10);

/// Does all of a block in a transaction, durably, or nothing of it; evaluates to what the block gives. It is done again after a
/// deadlock (40P01) and after a conflict of serialisable transactions (40001), so it must not keep anything between two tries.
///
/// Transactions that need the change counter take its lock first, and rows of one table are taken in the order of its key: then
/// nodes cannot wait for each other. What remains is for foreign programs and mistakes.
///
/// A function over async closures would do, if the compiler saw that such futures can be sent to other threads.
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
                    // Before the pause: it gives its connection back.
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
    /// What came of a try, unless it is to be done again now.
    pub(crate) async fn judge<T>(&mut self, done: Result<T, StoreError>) -> Option<Result<T, StoreError>> {
        if matches!(done, Err(StoreError::Conflict(_))) && self.has_another().await { None } else { Some(done) }
    }

    /// Counts a try that gave way to another transaction; pauses, and returns true, if it is to be done again.
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
    /// Runs one statement with these numbers, durably; returns how many rows it changed.
    pub(crate) async fn execute(&self, statement: &'static str, numbers: &[i64]) -> Result<u64, StoreError> {
        transact!(self, |transaction| {
            let query = numbers.iter().fold(sqlx::query(statement), |query, number| query.bind(*number));
            Ok(query.execute(&mut **transaction).await?.rows_affected())
        })
    }
}
