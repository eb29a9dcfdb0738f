//! Long reads. What is bounded is the time in which no row comes, not the time that the whole read takes.

use std::time::Duration;

use countersign_protocol::refusal::DatabaseTrouble;
use futures_util::TryStreamExt;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Error};
use tokio::time::timeout;

use crate::error::StoreError;

/// Longer without a row, or an answer, and a read is given up.
const PROGRESS: Duration = Duration::from_secs(5);

/// Every row of a table, by a statement that names it.
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

/// What a step of a read gives, or an error that says what did not come.
pub(crate) async fn in_time<T>(
    what: &'static str,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, StoreError> {
    match timeout(PROGRESS, step).await {
        Ok(done) => Ok(done?),
        Err(_) => {
            let reason = format!("reading {what}: nothing came for {} s", PROGRESS.as_secs());
            Err(StoreError::Unavailable(DatabaseTrouble::Slow, reason))
        }
    }
}
