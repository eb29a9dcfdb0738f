//! Inspects a database without changing it, whether a server is running or not.

use std::io::ErrorKind;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use countersign_protocol::UnixTime;
use countersign_protocol::refusal::DatabaseTrouble;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{ConnectOptions, Connection, Row};

use super::connection::{ACQUIRE_TIMEOUT, connect_first};
use super::engine::Engine;
use super::url::DatabaseUrl;
use super::{Store, migrations, pooler};
use crate::error::StoreError;

/// The suffix of SQLite's write-ahead log.
const LOG: &str = "-wal";
/// The suffix of SQLite's rollback journal, which it uses until there is a log.
const JOURNAL: &str = "-journal";

/// Statements that prepare a session.
type Statements = &'static [&'static str];

/// Prevents a PostgreSQL session from changing anything.
const READ_ONLY_SESSION: Statements = &["SET default_transaction_read_only = on", "SET statement_timeout = 5000"];

/// Limits how long the write check can wait.
const BOUNDED_SESSION: Statements = &["SET statement_timeout = 5000"];

/// Writes for the write check, which are rolled back. On SQLite, beginning a write transaction is enough, because its file
/// grows at a commit. PostgreSQL reports a full disk only for rows that need new pages.
const TRIED_ON_SQLITE: Statements = &["UPDATE change_counter SET change = change WHERE id = 1"];
const TRIED_ON_POSTGRES: Statements = &[
    "UPDATE change_counter SET change = change WHERE id = 1",
    "INSERT INTO settings (name, value) SELECT 'try ' || n, repeat('x', 1900) FROM generate_series(1, 64) AS n",
];

/// The state of a database's migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The number of migrations that it has.
    pub there: usize,
    /// The number of migrations that the next start runs.
    pub missing: usize,
}

/// Why PostgreSQL is read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadOnlyCause {
    /// It is a standby of another server.
    Standby,
    /// `default_transaction_read_only` is on. Holds its source from `pg_settings`, such as `database` or `user`.
    Setting(String),
}

impl Store {
    /// Opens a database for reading, without migrating it. Refuses a pooler that shares connections.
    ///
    /// `is_living` says whether a server is using it. If not, an SQLite file is opened as immutable, so that SQLite creates
    /// no files beside it. A log that a killed server left must be read with its index, which SQLite then recreates.
    pub async fn open_read_only(database: &DatabaseUrl, is_living: bool) -> Result<Self, StoreError> {
        Self::open_as_it_is(database, reading_mode(database, is_living), READ_ONLY_SESSION).await
    }

    /// Opens a database for [`Store::try_writing`], without migrating it.
    pub async fn open_to_try_writing(database: &DatabaseUrl) -> Result<Self, StoreError> {
        Self::open_as_it_is(database, "mode=rw", BOUNDED_SESSION).await
    }

    async fn open_as_it_is(
        database: &DatabaseUrl,
        sqlite_mode: &str,
        postgres_session: Statements,
    ) -> Result<Self, StoreError> {
        let mut url = database.url.clone();
        let statements = match database.engine {
            Engine::Sqlite => {
                url.set_query(Some(sqlite_mode));
                &["PRAGMA busy_timeout = 2000"]
            }
            Engine::Postgres => postgres_session,
        };
        let options = AnyConnectOptions::from_str(url.as_str())?.disable_statement_logging();
        // Checked first: settings of the session would stay in a connection that the pooler later gives to a server.
        pooler::check(database.engine, &options).await?;
        connect_first(&options).await?.close().await?;
        let pool = AnyPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    for statement in statements {
                        sqlx::query(*statement).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        Ok(Self {
            engine: database.engine,
            reader: pool.clone(),
            writer: pool.clone(),
            follower: pool,
            queue: None,
            file: None,
            identity: Arc::default(),
        })
    }

    /// Opens a database for reading. Returns `None` if it is empty, or if its file does not exist.
    pub async fn open_unless_empty(database: &DatabaseUrl) -> Result<Option<Self>, StoreError> {
        if let Some(file) = database.sqlite_file() {
            if has(&file, JOURNAL) {
                finish_journal(database).await?;
            }
            if is_empty(&file) {
                return Ok(None);
            }
        }
        // This only selects. Settings could stay in a pooler's connection that a starting server then writes through.
        let store = Self::open_as_it_is(database, reading_mode(database, false), &[]).await?;
        if store.has_table("settings").await? {
            return Ok(Some(store));
        }
        store.close().await;
        Ok(None)
    }

    /// True if this table exists.
    pub async fn has_table(&self, name: &'static str) -> Result<bool, StoreError> {
        let statement = match self.engine {
            Engine::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1",
            Engine::Postgres => "SELECT COUNT(to_regclass($1))",
        };
        let row = sqlx::query(statement).bind(name).fetch_one(&self.reader).await?;
        Ok(row.try_get::<i64, _>(0)? > 0)
    }

    /// Writes a consistent copy into an empty file. SQLite only.
    pub async fn copy_to(&self, file: &Path) -> Result<(), StoreError> {
        let Some(path) = file.to_str().filter(|_| self.engine == Engine::Sqlite) else {
            return Err(StoreError::Refused(format!("{}: cannot write a copy to this path", file.display())));
        };
        sqlx::query("VACUUM INTO $1").bind(path).execute(&self.reader).await?;
        Ok(())
    }

    /// Reads the whole SQLite database and reports damage. PostgreSQL checks itself, so there it only checks the response.
    pub async fn check_integrity(&self) -> Result<(), StoreError> {
        let (statement, good) = match self.engine {
            Engine::Sqlite => ("PRAGMA quick_check(1)", "ok"),
            Engine::Postgres => ("SELECT 'ok'", "ok"),
        };
        let said: String = sqlx::query(statement).fetch_one(&self.reader).await?.try_get(0)?;
        if said == good { Ok(()) } else { Err(StoreError::Unavailable(DatabaseTrouble::Damaged, said)) }
    }

    /// Writes, and rolls back.
    pub async fn try_writing(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        let statements = match self.engine {
            Engine::Sqlite => TRIED_ON_SQLITE,
            Engine::Postgres => TRIED_ON_POSTGRES,
        };
        for statement in statements {
            sqlx::query(*statement).execute(&mut *transaction).await?;
        }
        Ok(transaction.rollback().await?)
    }

    /// Why PostgreSQL is read-only. `None` if it shows neither cause.
    pub async fn find_read_only_cause(&self) -> Result<Option<ReadOnlyCause>, StoreError> {
        if self.engine == Engine::Sqlite {
            return Ok(None);
        }
        let causes = "SELECT CAST(pg_is_in_recovery() AS INTEGER), CAST(setting = 'on' AS INTEGER), source \
                      FROM pg_settings WHERE name = 'default_transaction_read_only'";
        let row = sqlx::query(causes).fetch_one(&self.reader).await?;
        let (is_standby, is_set, place): (i32, i32, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok(match (is_standby, is_set) {
            (1, _) => Some(ReadOnlyCause::Standby),
            (_, 1) => Some(ReadOnlyCause::Setting(place)),
            _ => None,
        })
    }

    /// Counts our migrations. Returns an error if the database has others.
    pub async fn check_migrations(&self) -> Result<Migrated, StoreError> {
        let rows = sqlx::query("SELECT version, checksum FROM _sqlx_migrations ORDER BY version");
        let rows = rows.fetch_all(&self.reader).await?;
        let known = migrations::list_known(self.engine);
        for row in &rows {
            let (version, sum): (i64, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
            match known.iter().find(|migration| migration.version == version) {
                None => return Err(StoreError::Newer(version)),
                Some(migration) if *migration.checksum != *sum => {
                    return Err(StoreError::Migration(format!("the checksum of migration {version} differs")));
                }
                Some(_) => {}
            }
        }
        Ok(Migrated { there: rows.len(), missing: known.len().saturating_sub(rows.len()) })
    }
}

impl Store {
    /// The database server's clock. `None` on SQLite, which uses ours.
    pub async fn read_clock(&self) -> Result<Option<UnixTime>, StoreError> {
        if self.engine == Engine::Sqlite {
            return Ok(None);
        }
        let clock = sqlx::query("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS BIGINT)");
        Ok(Some(clock.fetch_one(&self.reader).await?.try_get(0)?))
    }
}

/// The mode that reads an SQLite file without writing anything.
fn reading_mode(database: &DatabaseUrl, is_living: bool) -> &'static str {
    let has_log = database.sqlite_file().is_some_and(|file| has(&file, LOG) || has(&file, JOURNAL));
    if is_living || has_log { "mode=ro" } else { "mode=ro&immutable=true" }
}

/// True if the file does not exist or is empty: SQLite then ignores any log beside it.
fn is_empty(file: &Path) -> bool {
    match file.metadata() {
        Ok(found) => found.len() == 0,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// True if the SQLite file with this suffix exists and is not empty.
fn has(file: &Path, beside: &str) -> bool {
    let mut path = file.as_os_str().to_owned();
    path.push(beside);
    Path::new(&path).metadata().is_ok_and(|found| found.len() > 0)
}

/// Lets SQLite roll back a transaction that a power failure interrupted. It needs write access for that.
async fn finish_journal(database: &DatabaseUrl) -> Result<(), StoreError> {
    let options = AnyConnectOptions::from_str(database.without_making().as_str())?.disable_statement_logging();
    let mut connection = connect_first(&options).await?;
    sqlx::query("SELECT COUNT(*) FROM sqlite_master").execute(&mut connection).await?;
    Ok(connection.close().await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::fresh;

    #[tokio::test]
    async fn a_read_only_database_can_be_copied_and_checked_but_not_written() {
        let (database, url) = fresh();
        let missing = Store::open_read_only(&url, false).await;
        assert_eq!(missing.is_err(), url.engine == Engine::Sqlite, "no file is created");
        let living = Store::open(&url).await.expect("opens");
        living.begin_change(1).await.expect("begins").commit().await.expect("commits");
        let counters = living.read_counters().await.expect("reads");
        let reading = Store::open_read_only(&url, true).await.expect("opens");
        assert_eq!(reading.read_counters().await.expect("reads"), counters);
        reading.check_integrity().await.expect("is whole");
        assert_eq!(reading.check_migrations().await.expect("is known").missing, 0);
        assert!(reading.begin_change(1).await.is_err(), "nothing can be changed");
        let file = database.directory.path().join("copy");
        assert_eq!(reading.copy_to(&file).await.is_ok(), url.engine == Engine::Sqlite);
        if url.engine == Engine::Sqlite {
            let copy = Store::open_read_only(&DatabaseUrl::sqlite_at(&file).expect("a URL"), false).await;
            assert_eq!(copy.expect("opens").read_counters().await.expect("reads"), counters);
            assert_eq!(url.sqlite_file(), Some(database.directory.path().join("countersign.db")));
        }
    }

    #[tokio::test]
    async fn a_torn_first_page_is_rolled_back_before_reading_on_sqlite() {
        let (database, url) = fresh();
        let file = url.sqlite_file().expect("SQLite");
        // What SQLite writes for an empty database: the magic, no page yet, a nonce, sizes.
        let mut journal = vec![0; 512];
        journal[..8].copy_from_slice(&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]);
        (journal[22], journal[26]) = (2, 16);
        std::fs::write(database.directory.path().join("countersign.db-journal"), journal).expect("written");
        std::fs::write(&file, vec![0; 3072]).expect("written");
        assert!(Store::open_unless_empty(&url).await.expect("reads").is_none());
        assert_eq!(file.metadata().expect("exists").len(), 0);
    }
}
