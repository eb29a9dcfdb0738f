//! A fresh database for each test: SQLite in its own directory, or PostgreSQL if the environment has its URL.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use countersign_store::install_drivers;
use tempfile::{Builder, TempDir};

/// The variable in which `cargo xtask test` passes its PostgreSQL: a URL without a database.
const POSTGRES: &str = "COUNTERSIGN_TEST_POSTGRES";

/// A database for one test, and a directory that is removed with it.
#[derive(Debug)]
pub struct TestDatabase {
    /// The directory for a server's data.
    pub directory: TempDir,
    /// The URL of a PostgreSQL database. `None` for SQLite in the directory.
    pub url: Option<String>,
}

/// True if this run uses PostgreSQL.
pub fn engine_is_postgres() -> bool {
    postgres().is_some()
}

impl TestDatabase {
    /// Creates a database on the engine of this run.
    pub fn fresh() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        install_drivers();
        let directory = private_directory();
        let url = postgres().map(|server| {
            let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let (base, query) = server.split_once('?').unwrap_or((&server, ""));
            let create = format!("CREATE DATABASE {name}");
            let made =
                Command::new("psql").args([&format!("{base}postgres?{query}"), "-qc", &create]).status().unwrap();
            assert!(made.success(), "{create}");
            format!("{base}{name}?{query}")
        });
        Self { directory, url }
    }

    /// Keeps a transaction of another program open on this SQLite file, until the result is dropped.
    pub fn hold(file: &Path) -> impl Sized + use<> {
        let file = rusqlite::Connection::open(file).unwrap();
        file.execute_batch("BEGIN IMMEDIATE").unwrap();
        file
    }

    /// Returns SQLite's integrity check of a file: `ok`, or the first problem.
    pub fn check_integrity(file: &Path) -> String {
        let file = rusqlite::Connection::open(file).unwrap();
        file.busy_timeout(Duration::from_secs(5)).unwrap();
        file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
    }

    /// Lets each URL of two PostgreSQL databases lead to the other one, and closes all connections.
    pub(crate) fn swap(&self, other: &Self) {
        let [(server, one), (_, two)] = [self, other].map(|database| {
            let (base, query) = database.url.as_deref().unwrap().split_once('?').unwrap();
            let (base, name) = base.rsplit_once('/').unwrap();
            (format!("{base}/postgres?{query}"), name)
        });
        let close =
            format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname IN ('{one}', '{two}')");
        let mut psql = Command::new("psql");
        psql.args([&server, "-q"]);
        for allowed in [false, true] {
            for name in [one, two] {
                psql.args(["-c", &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}")]);
            }
            if !allowed {
                psql.args(["-c", &close]);
                for (from, to) in [(one, "swapped"), (two, one), ("swapped", two)] {
                    psql.args(["-c", &format!("ALTER DATABASE {from} RENAME TO {to}")]);
                }
            }
        }
        assert!(psql.stdout(std::process::Stdio::null()).status().unwrap().success());
    }

    /// Runs one statement directly in PostgreSQL or in this SQLite file.
    pub fn tamper(&self, file: &Path, statement: &str) {
        match &self.url {
            Some(url) => {
                let done = Command::new("psql").args([url.as_str(), "-qc", statement]).status().unwrap();
                assert!(done.success(), "{statement}");
            }
            None => {
                let file = rusqlite::Connection::open(file).unwrap();
                file.busy_timeout(Duration::from_secs(5)).unwrap();
                file.execute_batch(statement).unwrap();
            }
        }
    }
}

/// Creates a directory that only its owner can open, as a server requires.
pub(crate) fn private_directory() -> TempDir {
    Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "how `cargo xtask test` says which engine this run is for")]
fn postgres() -> Option<String> {
    std::env::var(POSTGRES).ok()
}
