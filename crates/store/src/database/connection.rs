//! How a connection is opened, prepared, and checked before reuse.

use std::time::Duration;

use countersign_protocol::refusal::DatabaseTrouble;
use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Connection};
use tokio::time::timeout;

use super::engine::Engine;
use crate::error::StoreError;

/// The limit for the first connection, so that a failing start ends within ten seconds.
const FIRST_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a statement waits for a connection. After that, the caller gets a 503.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// Opens a connection outside the pools, so that errors show the cause.
pub(super) async fn connect_first(options: &AnyConnectOptions) -> Result<AnyConnection, StoreError> {
    let lost = |reason| StoreError::Unavailable(DatabaseTrouble::Lost, reason);
    match timeout(FIRST_CONNECT_TIMEOUT, options.connect()).await {
        Ok(connected) => connected.map_err(|error| lost(describe(&error))),
        Err(_) => Err(lost(format!("no connection within {} s", FIRST_CONNECT_TIMEOUT.as_secs()))),
    }
}

/// `synchronous=FULL`: in WAL mode, NORMAL can lose an acknowledged commit in a power failure. So can `synchronous_commit=off`,
/// which an administrator may have set for other programs. Its other values are stronger and kept.
///
/// Single statements run in transactions with the default isolation. Under a stricter default, nodes would abort each other's.
pub(super) async fn prepare(engine: Engine, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let statements: &[&str] = match engine {
        Engine::Sqlite => &[
            "PRAGMA busy_timeout = 2000",
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            // In KiB. Token requests use the registry, so cached pages only serve changes, and three connections each cache
            // them.
            "PRAGMA cache_size = -512",
        ],
        Engine::Postgres => &[
            "SET statement_timeout = 5000",
            "SET idle_in_transaction_session_timeout = 10000",
            "SET default_transaction_isolation = 'read committed'",
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
        ],
    };
    for statement in statements {
        sqlx::query(*statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Returns false if the connection must be closed instead of reused: its server does not respond, or SQLite ended the
/// transaction by itself, for example on a full disk. sqlx would count that transaction as open forever.
pub(super) async fn is_usable(engine: Engine, connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    match engine {
        Engine::Postgres => Ok(timeout(ACQUIRE_TIMEOUT, connection.ping()).await.is_ok_and(|ping| ping.is_ok())),
        Engine::Sqlite => {
            if connection.is_in_transaction() {
                // The response also shows that any pending rollback is done.
                connection.ping().await?;
            }
            Ok(!connection.is_in_transaction())
        }
    }
}

/// The innermost cause. The outer errors only repeat that connecting failed.
fn describe(error: &sqlx::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
