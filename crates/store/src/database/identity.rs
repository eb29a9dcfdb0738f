//! Whether this is still the database with which the server was started.
//!
//! On PostgreSQL, a running server can be led to another database: a name points elsewhere, or the database was dropped and
//! created again. The ID is therefore compared for every new connection, and whenever changes are followed.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign_protocol::refusal::DatabaseTrouble;
use sqlx::{AnyConnection, Row};

use crate::error::StoreError;

pub(crate) const FIND_ID: &str = "SELECT id FROM identity WHERE one = 1";

/// The ID that the database had when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    /// Not set by commands that use a database without a data directory.
    expected: OnceLock<String>,
    /// Whether the last comparison failed.
    is_other: AtomicBool,
    /// Whether it was copied elsewhere, where it is in use now.
    is_moved: AtomicBool,
}

impl Identity {
    /// From now on, the ID must be this one.
    pub(crate) fn expect(&self, id: &str) {
        // A server claims its database only once, when it starts.
        let _is_first = self.expected.set(id.to_owned());
    }

    /// Compares an ID that was just read.
    pub(crate) fn check(&self, found: Option<&str>) -> Result<(), StoreError> {
        let is_other = self.expected.get().is_some_and(|expected| found != Some(expected));
        self.is_other.store(is_other, Ordering::Release);
        self.check_last()
    }

    /// Returns the result of the last comparison.
    pub(crate) fn check_last(&self) -> Result<(), StoreError> {
        if self.is_other.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable(DatabaseTrouble::Replaced, OTHER.to_owned()));
        }
        Ok(())
    }

    /// Remembers whether the database was copied elsewhere.
    pub(crate) fn note_moved(&self, is_moved: bool) {
        self.is_moved.store(is_moved, Ordering::Release);
    }

    /// Fails if a write would be lost.
    pub(crate) fn check_writable(&self) -> Result<(), StoreError> {
        if self.is_moved.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable(DatabaseTrouble::Replaced, MOVED.to_owned()));
        }
        self.check_last()
    }

    /// Compares the ID over a new connection.
    pub(crate) async fn check_connection(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        if self.expected.get().is_none() {
            return Ok(());
        }
        let found: Option<String> = match sqlx::query(FIND_ID).fetch_optional(connection).await {
            Ok(row) => row.map(|row| row.try_get(0)).transpose()?,
            // It does not have that table.
            Err(sqlx::Error::Database(_)) => None,
            Err(error) => return Err(error),
        };
        self.check(found.as_deref()).map_err(|error| io::Error::other(error.to_string()).into())
    }
}

const OTHER: &str = "database.url now points to another database; restore the connection to the one with which the server \
     was started, or restart the server";
const MOVED: &str = "this database was copied to another one; stop this node, and start it with that database";
