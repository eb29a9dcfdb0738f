//! Long reads. The timeout is for progress, not for the whole read.

use std::time::Duration;

use countersign_protocol::refusal::DatabaseTrouble;
use futures_util::TryStreamExt;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Error};
use tokio::time::timeout;

use crate::error::StoreError;

/// How long a read may go without a row or response.
const PROGRESS: Duration = Duration::from_secs(5);

/// Reads every row of a statement. `table` is for error messages.
pub(crate) async fn read_rows(
    connection: &mut AnyConnection,
    statement: &'static str,
    table: &'static str,
) -> Result<Vec<AnyRow>, StoreError> {
    let mut reading = sqlx::query(statement).fetch(connection);
    let mut rows = Vec::new();
    while let Some(row) = in_time(table, reading.try_next()).await? {
        rows.push(row);
    }
    Ok(rows)
}

/// Waits for one step of a read. The error names what did not arrive.
pub(crate) async fn in_time<T>(
    what: &'static str,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, StoreError> {
    match timeout(PROGRESS, step).await {
        Ok(done) => Ok(done?),
        Err(_) => {
            let reason = format!("reading {what}: no data for {} s", PROGRESS.as_secs());
            Err(StoreError::Unavailable(DatabaseTrouble::Slow, reason))
        }
    }
}
