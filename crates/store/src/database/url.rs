//! Where a database is.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use super::{Connections, Engine, SQLITE_FILE};
use crate::error::StoreError;

/// Where the database is. Its password is never printed.
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

    /// This file.
    pub fn sqlite_at(path: &Path) -> Result<Self, StoreError> {
        let path = std::path::absolute(path).map_err(|error| bad_url(&error))?;
        let file = Url::from_file_path(path).map_err(|()| bad_url(&"the data directory is no absolute path"))?;
        Self::parse(&format!("sqlite://{}?mode=rwc", file.path()))
    }

    /// Parses `postgres://…` or `sqlite://…`.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let url = Url::parse(text).map_err(|error| bad_url(&error))?;
        let engine = match url.scheme() {
            "sqlite" if url.path().starts_with('/') => Engine::Sqlite,
            "sqlite" => return Err(bad_url(&"name a file by its absolute path, as in sqlite:///var/lib/x.db")),
            "postgres" | "postgresql" => Engine::Postgres,
            other => return Err(bad_url(&format!("`{other}` is neither postgres nor sqlite"))),
        };
        Ok(Self { url, engine, connections: Connections::default() })
    }

    /// The same with so many connections.
    pub fn with_connections(self, connections: Connections) -> Self {
        Self { connections, ..self }
    }

    /// The file, if it is SQLite.
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        match self.engine {
            Engine::Sqlite => Url::parse(&format!("file://{}", self.url.path())).ok()?.to_file_path().ok(),
            Engine::Postgres => None,
        }
    }

    /// The URL by which a file that is gone is not made again.
    pub(super) fn without_making(&self) -> Url {
        let mut url = self.url.clone();
        if self.engine == Engine::Sqlite && url.query() == Some("mode=rwc") {
            url.set_query(Some("mode=rw"));
        }
        url
    }
}

/// Where it is, without user, password and options.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = self.sqlite_file() {
            return write!(f, "{}", file.display());
        }
        // A socket's directory is named by an option.
        let option = self.url.query_pairs().find(|(name, _)| name == "host").map(|(_, host)| host.into_owned());
        let host = self.url.host_str().filter(|host| !host.is_empty()).map(str::to_owned).or(option);
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        write!(f, "postgres://{}{port}{}", host.unwrap_or_default(), self.url.path())
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
        assert_eq!(url.to_string(), "postgres://db.example/x");
        assert!(DatabaseUrl::parse("mysql://x").is_err() && DatabaseUrl::parse("nonsense").is_err());
    }
}
