//! What can go wrong with a database, in words for an operator.

use countersign_protocol::refusal::DatabaseTrouble;
use sqlx::error::ErrorKind;
use sqlx::migrate::MigrateError;

/// Why the store could not do what was asked. Nothing was changed, unless the answer to a commit was lost.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database URL is neither of SQLite nor of PostgreSQL, or is malformed.
    #[error("database.url: {0}")]
    Url(String),
    /// The database cannot do it now; the text says in its words why.
    #[error("{0}: {1}")]
    Unavailable(DatabaseTrouble, String),
    /// The database ended a transaction in favour of another: a deadlock, or a conflict. It can be done again.
    #[error("the database gave way to another transaction: {0}")]
    Conflict(String),
    /// A pooler in front of PostgreSQL does not keep one server connection for each of ours.
    #[error(
        "database.url: the pooler in front of PostgreSQL shares connections by transaction or statement; set \
         pool_mode = session for this database, or connect to PostgreSQL itself"
    )]
    SharedConnections,
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

/// What to do when there is no room.
const MAKE_ROOM: &str = "make room there, or raise the quota";
const POSTGRES_FULL: &str = "53100";
const SQLITE_FULL: &str = "13";
/// The `-shm` file cannot grow: at a start, the first that needs room. SQLite calls it an I/O error, whatever the system said.
const SQLITE_IOERR_SHMSIZE: &str = "4874";
/// Whatever the system said of a write, but for ENOSPC, which is `SQLITE_FULL`.
const SQLITE_IOERR_WRITE: &str = "778";

/// Classes and codes of PostgreSQL that may pass by themselves, the longer ones first: no room, out of resources, read-only,
/// idle within a transaction, cancelled, lock not available, connection exceptions, refused sign-in, shutting down or starting, system errors.
const POSTGRES_PASSING: [(&str, DatabaseTrouble); 10] = [
    (POSTGRES_FULL, DatabaseTrouble::Full),
    ("53", DatabaseTrouble::Lost),
    ("25006", DatabaseTrouble::ReadOnly),
    ("25P03", DatabaseTrouble::Slow),
    ("57014", DatabaseTrouble::Slow),
    ("55P03", DatabaseTrouble::Slow),
    ("08", DatabaseTrouble::Lost),
    ("28", DatabaseTrouble::Lost),
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
                "every connection was busy for 2 s, or no new one could be made".to_owned(),
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

/// The database's own words; of SQLite in place of those that do not say what to do.
fn describe(code: &str, message: String) -> String {
    match code {
        POSTGRES_FULL => format!("{message}; {MAKE_ROOM}"),
        SQLITE_FULL | SQLITE_IOERR_SHMSIZE => MAKE_ROOM.to_owned(),
        SQLITE_IOERR_WRITE => format!("{message}: over a quota or a limit of file sizes, or the disk fails"),
        _ => message,
    }
}

/// What may pass by itself, by the database's code.
fn find_trouble(code: &str) -> Option<DatabaseTrouble> {
    if code.len() == 5 {
        return POSTGRES_PASSING.iter().find(|(class, _)| code.starts_with(class)).map(|(_, trouble)| *trouble);
    }
    if code == SQLITE_IOERR_SHMSIZE {
        return Some(DatabaseTrouble::Full);
    }
    // SQLite, whose extended codes have the plain one in their last byte.
    match code.parse::<u32>().ok()? & 0xFF {
        // busy, locked
        5 | 6 => Some(DatabaseTrouble::Slow),
        8 => Some(DatabaseTrouble::ReadOnly),
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
    fn what_may_pass_by_itself_is_told_from_what_will_not() {
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
        ] {
            assert_eq!(find_trouble(passing), Some(trouble), "{passing}");
        }
        for lasting in ["1", "1555", "19", "2067", "23505", "42601", "57000", ""] {
            assert_eq!(find_trouble(lasting), None, "{lasting}");
        }
    }
}
