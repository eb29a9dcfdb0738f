//! Detects a pooler in front of PostgreSQL that reassigns connections between transactions or statements. Settings,
//! prepared statements and locks of a connection would be lost, or leak into another one.

use std::time::Duration;

use countersign_protocol::refusal::DatabaseTrouble;
use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, Connection, Executor, Row};
use tokio::time::timeout;

use super::connection::connect_first;
use super::engine::Engine;
use crate::error::StoreError;

/// A pooler can pick the right connection by chance, but not in every round.
const ROUNDS: usize = 3;
/// A slower response means that it waits for a server connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

const SET: &str =
    "SELECT CAST(pg_backend_pid() AS TEXT), set_config('countersign.probe', CAST(random() AS TEXT), false)";
const READ: &str = "SELECT CAST(pg_backend_pid() AS TEXT), COALESCE(current_setting('countersign.probe', true), '')";

/// The responding process, and the variable's value in it.
type Seen = (String, String);

/// Refuses a pooler that does not keep one server connection for each of ours. Uses two connections.
pub(super) async fn check(engine: Engine, options: &AnyConnectOptions) -> Result<(), StoreError> {
    if engine != Engine::Postgres {
        return Ok(());
    }
    let (mut first, mut second) = tokio::try_join!(connect_first(options), connect_first(options))?;
    for _ in 0..ROUNDS {
        if is_shared(&mut first, &mut second).await? {
            return Err(StoreError::SharedConnections);
        }
    }
    first.close().await?;
    Ok(second.close().await?)
}

/// True if the second connection sees the first one's process or value, or if the first one loses them while a
/// transaction on the second one keeps a server connection busy.
async fn is_shared(first: &mut AnyConnection, second: &mut AnyConnection) -> Result<bool, StoreError> {
    let own = ask(first, SET).await?.ok_or_else(late)?;
    let again = ask(first, READ).await?.ok_or_else(late)?;
    let other = ask(second, READ).await?.ok_or_else(late)?;
    if again != own || meets(&other, &own) {
        return Ok(true);
    }
    second.execute(sqlx::raw_sql("BEGIN")).await?;
    let other = ask(second, READ).await?.ok_or_else(late)?;
    // `None` if the transaction occupies the only server connection.
    let again = ask(first, READ).await?;
    second.execute(sqlx::raw_sql("ROLLBACK")).await?;
    Ok(again.is_none_or(|again| again != own) || meets(&other, &own))
}

fn meets((other_pid, other_value): &Seen, (pid, value): &Seen) -> bool {
    other_pid == pid || other_value == value
}

/// Queries without a prepared statement, which could be shared too. `None` if the response is late.
async fn ask(connection: &mut AnyConnection, statement: &'static str) -> Result<Option<Seen>, StoreError> {
    let Ok(row) = timeout(ANSWER_TIMEOUT, connection.fetch_one(sqlx::raw_sql(statement))).await else {
        return Ok(None);
    };
    let row = row?;
    Ok(Some((row.try_get(0)?, row.try_get(1)?)))
}

fn late() -> StoreError {
    StoreError::Unavailable(
        DatabaseTrouble::Lost,
        format!(
            "two concurrent connections got no response within {} s; if a pooler is in front of PostgreSQL, its pool may be too small",
            ANSWER_TIMEOUT.as_secs()
        ),
    )
}
