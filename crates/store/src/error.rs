//! What can go wrong with a database, in words for an operator.

use sqlx::error::ErrorKind;
use sqlx::migrate::MigrateError;

/// Why the store could not do what was asked; nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database URL is neither of SQLite nor of PostgreSQL, or is malformed.
    #[error("database.url: {0}")]
    Url(String),
    /// The database cannot be reached, does not answer in time, or has no room.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The database ended a transaction in favour of another: a deadlock, or a conflict. It can be done again.
    #[error("the database gave way to another transaction: {0}")]
    Conflict(String),
    /// A newer version of Countersign has changed this database.
    #[error("the database was made by a newer version of Countersign (migration {0}); use that version")]
    Newer(i64),
    /// The database was migrated by other migrations than ours.
    #[error("the database does not fit this version: {0}")]
    Migration(String),
    /// The id, name or audience is taken.
    #[error("already taken: {0}")]
    Taken(String),
    /// A row holds what no version of Countersign writes.
    #[error("table {table} has a row that cannot be read: {row}")]
    Broken {
        /// The table.
        table: &'static str,
        /// Which row.
        row: String,
    },
    /// Anything else that the database says.
    #[error("the database refuses: {0}")]
    Refused(String),
}

/// Classes and codes of PostgreSQL that may pass by themselves.
const POSTGRES_PASSING: [&str; 8] = ["08", "28", "53", "57P", "58", "25006", "57014", "55P03"];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(inner) if inner.kind() == ErrorKind::UniqueViolation => {
                Self::Taken(inner.message().to_owned())
            }
            sqlx::Error::Database(inner) => match inner.code().as_deref() {
                Some("40001" | "40P01") => Self::Conflict(inner.message().to_owned()),
                Some(code) if is_unavailable(code) => Self::Unavailable(inner.message().to_owned()),
                _ => Self::Refused(inner.message().to_owned()),
            },
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => Self::Newer(version),
            MigrateError::Execute(inner) | MigrateError::ExecuteMigration(inner, _) => inner.into(),
            other => Self::Migration(other.to_string()),
        }
    }
}

/// What may pass by itself.
///
/// SQLite: busy, locked, out of memory, read-only, I/O error, full, cannot open. PostgreSQL: connection exceptions,
/// refused sign-in, out of resources, shutting down or starting, system errors, read-only, cancelled, lock not available.
fn is_unavailable(code: &str) -> bool {
    let sqlite = code.parse::<u32>().is_ok_and(|code| code < 10_000 && matches!(code & 0xFF, 5..=8 | 10 | 13 | 14));
    sqlite || POSTGRES_PASSING.iter().any(|class| code.len() == 5 && code.starts_with(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_by_itself_is_told_from_what_will_not() {
        for passing in ["5", "13", "778", "08006", "57P01", "57014", "53300"] {
            assert!(is_unavailable(passing), "{passing}");
        }
        for lasting in ["1", "1555", "19", "2067", "23505", "42601", "57000", ""] {
            assert!(!is_unavailable(lasting), "{lasting}");
        }
    }
}
