//! Database errors, worded for an operator.

use countersign_protocol::refusal::DatabaseTrouble;
use sqlx::error::ErrorKind;
use sqlx::migrate::MigrateError;

/// Why an operation failed. It changed nothing, unless the response to a commit was lost.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database URL is malformed or has another scheme.
    #[error("database.url: {0}")]
    Url(String),
    /// The database cannot be used at the moment. Contains its own message.
    #[error("{}: {}{}", .0, .1, remedy(*.0))]
    Unavailable(DatabaseTrouble, String),
    /// The database aborted a transaction in favor of another one, because of a deadlock or a conflict. It can be retried.
    #[error("the database aborted the transaction in favor of another one: {0}")]
    Conflict(String),
    /// A pooler in front of PostgreSQL does not keep one server connection for each of ours.
    #[error(
        "database.url: the pooler in front of PostgreSQL shares connections by transaction or statement; set \
         pool_mode = session for this database, or connect to PostgreSQL itself"
    )]
    SharedConnections,
    /// A new PostgreSQL database cannot store every character.
    #[error("the database has the encoding {0}; create one with: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0")]
    Encoding(String),
    /// A newer version of Countersign has changed this database.
    #[error("the database was migrated by a newer version of Countersign (migration {0}); use that version")]
    Newer(i64),
    /// The migrations of the database differ from ours.
    #[error("the database does not match this version: {0}")]
    Migration(String),
    /// The ID, name or audience is already in use.
    #[error("already in use: {0}")]
    Taken(String),
    /// A row contains something that no version of Countersign writes.
    #[error("table {table} has an unreadable row: {row}")]
    Broken {
        /// The table.
        table: &'static str,
        /// The row's key.
        row: String,
    },
    /// Any other database error.
    #[error("database error: {0}")]
    Refused(String),
}

/// What to do when the disk is full.
const MAKE_ROOM: &str = "free up space there, or raise the quota";
const POSTGRES_FULL: &str = "53100";
const SQLITE_FULL: &str = "13";
/// The `-shm` file cannot grow, and it is the first file that needs space at a start. SQLite reports an I/O error.
const SQLITE_IOERR_SHMSIZE: &str = "4874";
/// Any failed write except ENOSPC, which is `SQLITE_FULL`.
const SQLITE_IOERR_WRITE: &str = "778";

/// PostgreSQL classes and codes that may be temporary, longest first: disk full, out of resources, read-only, idle in
/// transaction, canceled, lock not available, closed to connections, connection exception, sign-in refused, no such
/// database, shutting down or starting, system error.
const POSTGRES_PASSING: [(&str, DatabaseTrouble); 12] = [
    (POSTGRES_FULL, DatabaseTrouble::Full),
    ("53", DatabaseTrouble::Lost),
    ("25006", DatabaseTrouble::ReadOnly),
    ("25P03", DatabaseTrouble::Slow),
    ("57014", DatabaseTrouble::Slow),
    ("55P03", DatabaseTrouble::Slow),
    ("55000", DatabaseTrouble::Lost),
    ("08", DatabaseTrouble::Lost),
    ("28", DatabaseTrouble::Lost),
    ("3D", DatabaseTrouble::Lost),
    ("57P", DatabaseTrouble::Lost),
    ("58", DatabaseTrouble::Lost),
];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(inner) if inner.kind() == ErrorKind::UniqueViolation => {
                Self::Taken(inner.message().to_owned())
            }
            sqlx::Error::Database(inner) => {
                let (code, message) = (inner.code().unwrap_or_default(), inner.message().to_owned());
                match (&*code, find_trouble(&code)) {
                    ("40001" | "40P01", _) => Self::Conflict(message),
                    (_, Some(trouble)) => Self::Unavailable(trouble, describe(&code, message)),
                    (_, None) => Self::Refused(message),
                }
            }
            sqlx::Error::PoolTimedOut => Self::Unavailable(
                DatabaseTrouble::Slow,
                "all connections were busy for 2 s, or no new connection could be opened".to_owned(),
            ),
            sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Unavailable(DatabaseTrouble::Lost, error.to_string())
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

/// The database's message. Replaces those of SQLite that do not say what to do.
fn describe(code: &str, message: String) -> String {
    match code {
        POSTGRES_FULL => format!("{message}; {MAKE_ROOM}"),
        SQLITE_FULL | SQLITE_IOERR_SHMSIZE => MAKE_ROOM.to_owned(),
        SQLITE_IOERR_WRITE => format!("{message}: a quota or file size limit is exceeded, or the disk is failing"),
        _ => message,
    }
}

/// What to do, if the database's message never says it.
fn remedy(trouble: DatabaseTrouble) -> &'static str {
    match trouble {
        DatabaseTrouble::ReadOnly => {
            "; on SQLite, make the file and its directory writable for the server's user; on PostgreSQL, use the primary \
             and turn default_transaction_read_only off"
        }
        DatabaseTrouble::Damaged => "; stop the server and restore a backup with `countersign restore`",
        DatabaseTrouble::Lost | DatabaseTrouble::Replaced | DatabaseTrouble::Slow | DatabaseTrouble::Full => "",
    }
}

/// Whether a database code means trouble that may be temporary.
fn find_trouble(code: &str) -> Option<DatabaseTrouble> {
    if code.len() == 5 {
        return POSTGRES_PASSING.iter().find(|(class, _)| code.starts_with(class)).map(|(_, trouble)| *trouble);
    }
    if code == SQLITE_IOERR_SHMSIZE {
        return Some(DatabaseTrouble::Full);
    }
    // The last byte of SQLite's extended codes is the primary code.
    match code.parse::<u32>().ok()? & 0xFF {
        // busy, locked
        5 | 6 => Some(DatabaseTrouble::Slow),
        8 => Some(DatabaseTrouble::ReadOnly),
        // corrupt, not a database
        11 | 26 => Some(DatabaseTrouble::Damaged),
        13 => Some(DatabaseTrouble::Full),
        // out of memory, I/O error, cannot open
        7 | 10 | 14 => Some(DatabaseTrouble::Lost),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_errors_are_told_apart_from_lasting_ones() {
        for (passing, trouble) in [
            ("5", DatabaseTrouble::Slow),
            ("13", DatabaseTrouble::Full),
            ("4874", DatabaseTrouble::Full),
            ("778", DatabaseTrouble::Lost),
            ("1032", DatabaseTrouble::ReadOnly),
            ("08006", DatabaseTrouble::Lost),
            ("57P01", DatabaseTrouble::Lost),
            ("57014", DatabaseTrouble::Slow),
            ("53300", DatabaseTrouble::Lost),
            ("53100", DatabaseTrouble::Full),
            ("25006", DatabaseTrouble::ReadOnly),
            ("3D000", DatabaseTrouble::Lost),
            ("55000", DatabaseTrouble::Lost),
            ("11", DatabaseTrouble::Damaged),
            ("267", DatabaseTrouble::Damaged),
            ("26", DatabaseTrouble::Damaged),
        ] {
            assert_eq!(find_trouble(passing), Some(trouble), "{passing}");
        }
        for lasting in ["1", "1555", "19", "2067", "23505", "42601", "57000", ""] {
            assert_eq!(find_trouble(lasting), None, "{lasting}");
        }
    }
}
