//! One connection: how it is made, prepared, and judged before it is used again.

use std::time::Duration;

use countersign_protocol::refusal::DatabaseTrouble;
use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Connection};
use tokio::time::timeout;

use super::engine::Engine;
use crate::error::StoreError;

/// The first connection must stand within this time, so that a start fails within ten seconds.
const FIRST_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A statement waits at most this long for a connection: callers are told 503 rather than kept.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection beside the pools, of which the cause of a failure is known.
pub(super) async fn connect_first(options: &AnyConnectOptions) -> Result<AnyConnection, StoreError> {
    let lost = |reason| StoreError::Unavailable(DatabaseTrouble::Lost, reason);
    match timeout(FIRST_CONNECT_TIMEOUT, options.connect()).await {
        Ok(connected) => connected.map_err(|error| lost(describe(&error))),
        Err(_) => Err(lost(format!("no connection within {} s", FIRST_CONNECT_TIMEOUT.as_secs()))),
    }
}

/// `synchronous=FULL`: in WAL mode NORMAL may lose an acknowledged commit at a power cut.
pub(super) async fn prepare(engine: Engine, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let statements: &[&str] = match engine {
        Engine::Sqlite => &[
            "PRAGMA busy_timeout = 2000",
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            // In KiB. What a token needs is in the registry: pages that are kept serve changes only, and three connections
            // keep them.
            "PRAGMA cache_size = -512",
        ],
        Engine::Postgres => &["SET statement_timeout = 5000", "SET idle_in_transaction_session_timeout = 10000"],
    };
    for statement in statements {
        sqlx::query(*statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// False for a connection that is closed instead of being used again: one to a server that has gone silent, or one to a file
/// whose transaction SQLite ended by itself, such as when the disk is full. sqlx counts that transaction for ever.
pub(super) async fn is_usable(engine: Engine, connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    match engine {
        Engine::Postgres => Ok(timeout(ACQUIRE_TIMEOUT, connection.ping()).await.is_ok_and(|ping| ping.is_ok())),
        Engine::Sqlite => {
            if connection.is_in_transaction() {
                // Once this is answered, a rollback that was under way is over.
                connection.ping().await?;
            }
            Ok(!connection.is_in_transaction())
        }
    }
}

/// The innermost cause: the outer ones only repeat that connecting failed.
fn describe(error: &sqlx::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
