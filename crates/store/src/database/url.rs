//! The database URL.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use url::Url;

use super::engine::Engine;
use crate::error::StoreError;

/// The name of the SQLite database in a data directory.
pub const SQLITE_FILE: &str = "countersign.db";

/// The largest number of PostgreSQL connections of a node, besides the two of the follower. SQLite ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Connections for single reads.
    pub read: u32,
    /// Connections for writes: refresh, revocation and administration.
    pub write: u32,
}

impl Default for Connections {
    fn default() -> Self {
        Self { read: 8, write: 8 }
    }
}

/// The location of the database. Never prints its password.
#[derive(Clone)]
pub struct DatabaseUrl {
    pub(super) url: Url,
    pub(super) engine: Engine,
    pub(super) connections: Connections,
}

impl DatabaseUrl {
    /// The file [`SQLITE_FILE`] in a data directory.
    pub fn sqlite_in(directory: &Path) -> Result<Self, StoreError> {
        Self::sqlite_at(&directory.join(SQLITE_FILE))
    }

    /// The SQLite database in this file.
    pub fn sqlite_at(path: &Path) -> Result<Self, StoreError> {
        let path = std::path::absolute(path).map_err(|error| bad_url(&error))?;
        let file = Url::from_file_path(path).map_err(|()| bad_url(&"the data directory is not an absolute path"))?;
        Self::parse(&format!("sqlite://{}?mode=rwc", file.path()))
    }

    /// Parses `postgres://…` or `sqlite://…`.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let url = Url::parse(text).map_err(|error| bad_url(&error))?;
        let engine = match url.scheme() {
            "sqlite" if url.path().starts_with('/') => Engine::Sqlite,
            "sqlite" => return Err(bad_url(&"use an absolute path, as in sqlite:///var/lib/x.db")),
            "postgres" | "postgresql" => Engine::Postgres,
            other => return Err(bad_url(&format!("unknown scheme `{other}`, expected postgres or sqlite"))),
        };
        Ok(Self { url, engine, connections: Connections::default() })
    }

    /// Returns the same URL with these connection limits.
    pub fn with_connections(self, connections: Connections) -> Self {
        Self { connections, ..self }
    }

    /// The file, on SQLite.
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        match self.engine {
            Engine::Sqlite => Url::parse(&format!("file://{}", self.url.path())).ok()?.to_file_path().ok(),
            Engine::Postgres => None,
        }
    }

    /// The URL without its password.
    pub fn without_password(&self) -> String {
        let mut url = self.url.clone();
        // Only a URL without a host cannot have a password.
        let _ = url.set_password(None);
        let kept: Vec<_> = self.url.query_pairs().filter(|(name, _)| name != "password").collect();
        if kept.len() < url.query_pairs().count() {
            url.query_pairs_mut().clear().extend_pairs(kept);
        }
        url.to_string()
    }

    /// The URL that opens an existing file but never creates one.
    pub(super) fn without_making(&self) -> Url {
        let mut url = self.url.clone();
        if self.engine == Engine::Sqlite && url.query() == Some("mode=rwc") {
            url.set_query(Some("mode=rw"));
        }
        url
    }
}

/// The location without user, password and options. For PostgreSQL, it shows the host, port and database that the driver
/// uses: options in the URL and libpq variables can override the URL.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = self.sqlite_file() {
            return write!(f, "{}", file.display());
        }
        let Ok(options) = PgConnectOptions::from_str(self.url.as_str()) else {
            return f.write_str("a malformed postgres:// URL");
        };
        let socket = options.get_socket().map(|directory| directory.display().to_string());
        let host = socket.unwrap_or_else(|| options.get_host().to_owned());
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        write!(f, "postgres://{host}:{}/{database}", options.get_port())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({:?}, ********)", self.engine)
    }
}

fn bad_url(error: &dyn fmt::Display) -> StoreError {
    StoreError::Url(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_never_shows_its_password() {
        let url = DatabaseUrl::parse("postgres://user:hunter2@db.example/x").expect("parses");
        assert!(!format!("{url:?}").contains("hunter2"));
        assert_eq!(url.to_string(), "postgres://db.example:5432/x");
        assert_eq!(url.without_password(), "postgres://user@db.example/x");
        assert!(DatabaseUrl::parse("mysql://x").is_err() && DatabaseUrl::parse("nonsense").is_err());
        let url = DatabaseUrl::parse("postgres://u@h/x?password=hunter2&sslmode=require").expect("parses");
        assert_eq!(url.without_password(), "postgres://u@h/x?sslmode=require");
    }

    #[test]
    fn the_database_that_is_shown_is_the_one_that_is_connected_to() {
        let shown = |url| DatabaseUrl::parse(url).expect("parses").to_string();
        assert_eq!(shown("postgres://drill/drill?host=live&dbname=live&port=1"), "postgres://live:1/live");
        assert_eq!(shown("postgres://drill/drill?hostaddr=10.0.0.1"), "postgres://10.0.0.1:5432/drill");
        assert_eq!(shown("postgres://ada@[::1]"), "postgres://[::1]:5432/ada");
        assert_eq!(shown("postgres:///x?host=/run/pg"), "postgres:///run/pg:5432/x");
    }
}
