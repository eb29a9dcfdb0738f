//! The only module that knows the engine: opens, migrates, and begins transactions.

mod connection;
mod engine;
mod file;
pub(crate) mod identity;
pub(crate) mod inspection;
mod migrations;
mod pooler;
pub(crate) mod url;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::{Any, AnyPool, ConnectOptions, Transaction};

use crate::error::StoreError;
use crate::reading::in_time;
use crate::write_queue::WriteQueue;

use self::connection::{ACQUIRE_TIMEOUT, is_usable, prepare};
use self::engine::Engine;
use self::file::OpenFile;
use self::identity::Identity;
use self::url::{Connections, DatabaseUrl};

/// How long a connection to PostgreSQL is kept, so that the pool follows a server that has moved.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// How long an idle connection to PostgreSQL is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// SQLite connections for reads. Two are enough, because reads are rare and short.
const SQLITE_READERS: u32 = 2;
/// PostgreSQL connections for the change counter and heartbeats. They are separate, so that a node does not take a busy
/// pool for a lost database.
const POSTGRES_FOLLOWERS: u32 = 2;

/// A heartbeat that waits for another program's lock must not keep the connections from the follower.
const FOLLOWER_SESSION: &[&str] = &["SET lock_timeout = 1000"];

/// Registers both engines with sqlx. `main` and the testkit call it once.
pub fn install_drivers() {
    install_default_drivers();
}

/// An open database.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Engine,
    reader: AnyPool,
    writer: AnyPool,
    /// Connections for the change counter and heartbeats, which must never wait for others.
    follower: AnyPool,
    /// Writes that share commits, on SQLite only.
    queue: Option<Arc<WriteQueue>>,
    /// The open file, on SQLite only.
    file: Option<Arc<OpenFile>>,
    /// Whether it is still the same database.
    identity: Arc<Identity>,
}

impl Store {
    /// Opens and migrates the database. Its first connection is not pooled, so that errors show the cause.
    pub async fn open(database: &DatabaseUrl) -> Result<Self, StoreError> {
        let engine = database.engine;
        let options = AnyConnectOptions::from_str(database.url.as_str())?.disable_statement_logging();
        pooler::check(engine, &options).await?;
        migrations::run_missing(engine, &options).await?;
        let file = database.sqlite_file().map(OpenFile::find).transpose()?.map(Arc::new);
        let options = AnyConnectOptions::from_str(database.without_making().as_str())?.disable_statement_logging();
        let identity = Arc::new(Identity::default());
        let pool = |connections, more: &'static [&'static str]| {
            let (file, identity) = (file.clone(), identity.clone());
            AnyPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                // A connection to a deleted file cannot be reopened.
                .max_lifetime((engine == Engine::Postgres).then_some(MAX_LIFETIME))
                .idle_timeout((engine == Engine::Postgres).then_some(IDLE_TIMEOUT))
                // A file is always reachable, and a check takes as long as a short statement.
                .test_before_acquire(engine == Engine::Postgres)
                .after_release(move |connection, _| Box::pin(is_usable(engine, connection)))
                .after_connect(move |connection, _| {
                    let (file, identity) = (file.clone(), identity.clone());
                    Box::pin(async move {
                        // Another database in its place is not touched.
                        match file.as_deref() {
                            Some(file) => {
                                file.check()?;
                                prepare(engine, connection).await?;
                                file.note_log();
                                Ok(())
                            }
                            None => {
                                prepare(engine, connection).await?;
                                for statement in more {
                                    sqlx::query(*statement).execute(&mut *connection).await?;
                                }
                                identity.check_connection(connection).await
                            }
                        }
                    })
                })
                .connect_lazy_with(options.clone())
        };
        let Connections { read, write } = database.connections;
        let (reader, writer, follower, queue) = match engine {
            Engine::Sqlite => (pool(SQLITE_READERS, &[]), pool(1, &[]), pool(1, &[]), Some(Arc::default())),
            Engine::Postgres => (pool(read, &[]), pool(write, &[]), pool(POSTGRES_FOLLOWERS, FOLLOWER_SESSION), None),
        };
        Ok(Self { engine, reader, writer, follower, queue, file, identity })
    }

    /// Closes every connection. SQLite merges its log into the database.
    pub async fn close(&self) {
        self.reader.close().await;
        self.follower.close().await;
        self.writer.close().await;
    }

    /// Checks whether the paths of SQLite's files still lead to the files that are open. Returns the result if it differs
    /// from the last one.
    pub fn look_at_file(&self) -> Option<Result<(), String>> {
        self.file.as_ref()?.look()
    }

    /// True if the last [`Store::look_at_file`] failed.
    pub fn is_file_lost(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.is_lost())
    }

    /// Writes SQLite's log to the database file, so that nothing is lost with the log.
    pub async fn fold_log(&self) -> Result<(), StoreError> {
        if self.engine == Engine::Sqlite {
            sqlx::query("PRAGMA wal_checkpoint(FULL)").execute(&self.writer).await?;
        }
        Ok(())
    }

    /// Refuses writes from now on if the database was copied to another one, because they would be lost.
    pub fn note_moved(&self, is_moved: bool) {
        self.identity.note_moved(is_moved);
    }

    /// Which database this was when it was opened.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The connections for single reads.
    pub(crate) fn reader(&self) -> &AnyPool {
        &self.reader
    }

    /// Connections for the change counter and heartbeats.
    pub(crate) fn follower(&self) -> &AnyPool {
        &self.follower
    }

    /// True if several nodes can open it.
    pub(crate) fn is_shared(&self) -> bool {
        self.engine == Engine::Postgres
    }

    /// The writes that share commits, if this engine does so.
    pub(crate) fn write_queue(&self) -> Option<&WriteQueue> {
        self.queue.as_deref()
    }

    /// Begins a write transaction.
    pub(crate) async fn begin_write(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let statement = match self.engine {
            Engine::Sqlite => "BEGIN IMMEDIATE",
            // Overrides the default: serializable transactions that touch the change counter would abort each other.
            Engine::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        };
        self.file.as_deref().map_or(Ok(()), OpenFile::check_writable)?;
        self.identity.check_writable()?;
        Ok(self.writer.begin_with(statement).await?)
    }

    /// Begins a write transaction without a timeout.
    pub(crate) async fn begin_long_write(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let mut transaction = self.begin_write().await?;
        if self.engine == Engine::Postgres {
            for bound in ["SET LOCAL statement_timeout = 0", "SET LOCAL idle_in_transaction_session_timeout = 0"] {
                sqlx::query(bound).execute(&mut *transaction).await?;
            }
        }
        Ok(transaction)
    }

    /// Begins a transaction whose reads all see one snapshot.
    pub(crate) async fn begin_snapshot(&self) -> Result<Transaction<'static, Any>, StoreError> {
        self.begin_snapshot_of(&self.follower).await
    }

    /// The same for a long read, on a connection that the follower does not use.
    pub(crate) async fn begin_long_snapshot(&self) -> Result<Transaction<'static, Any>, StoreError> {
        self.begin_snapshot_of(&self.reader).await
    }

    async fn begin_snapshot_of(&self, pool: &AnyPool) -> Result<Transaction<'static, Any>, StoreError> {
        let statement = match self.engine {
            Engine::Sqlite => "BEGIN",
            Engine::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        let mut snapshot = in_time("a snapshot", pool.begin_with(statement)).await?;
        if self.engine == Engine::Postgres {
            // A large registry takes time. The reader checks for progress instead.
            for bound in ["SET LOCAL statement_timeout = 0", "SET LOCAL lock_timeout = 4000"] {
                in_time("a snapshot", sqlx::query(bound).execute(&mut *snapshot)).await?;
            }
        }
        Ok(snapshot)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use countersign_protocol::ids::ClientId;
    use countersign_protocol::refusal::DatabaseTrouble;
    use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};

    use super::*;
    use crate::entry::EntryKind;
    use crate::load::{Entries, Load};

    /// Returns a database that was never opened.
    pub(crate) fn fresh() -> (countersign_testkit::TestDatabase, DatabaseUrl) {
        let database = countersign_testkit::TestDatabase::fresh();
        let url = match &database.url {
            Some(url) => DatabaseUrl::parse(url),
            None => DatabaseUrl::sqlite_in(database.directory.path()),
        };
        (database, url.expect("a URL"))
    }

    #[tokio::test]
    async fn every_statement_can_be_prepared_on_this_engine() {
        let (_database, url) = fresh();
        let store = Store::open(&url).await.expect("opens");
        for statement in crate::statements() {
            let prepared = store.reader().prepare(sqlx::SqlSafeStr::into_sql_str(statement)).await;
            assert!(prepared.is_ok(), "{statement}: {:?}", prepared.err());
        }
    }

    #[tokio::test]
    async fn a_database_with_newer_or_different_migrations_is_not_touched() {
        let (_database, url) = fresh();
        let store = Store::open(&url).await.expect("opens");
        let change = async |statement: &str| {
            let statement = AssertSqlSafe(statement.to_owned());
            sqlx::query(statement).execute(&store.writer).await.expect("changes");
        };
        change(
            "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) \
             SELECT 9999, 'later', installed_on, success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        )
        .await;
        assert!(matches!(Store::open(&url).await, Err(StoreError::Newer(9999))));
        change("DELETE FROM _sqlx_migrations WHERE version = 9999").await;
        assert!(Store::open(&url).await.is_ok());
        let flip = match url.engine {
            Engine::Sqlite => "UPDATE _sqlx_migrations SET checksum = x'00'",
            Engine::Postgres => "UPDATE _sqlx_migrations SET checksum = decode('00', 'hex')",
        };
        change(flip).await;
        assert!(matches!(Store::open(&url).await, Err(StoreError::Migration(_))));
    }

    #[tokio::test]
    async fn rows_of_the_first_version_survive_every_migration() {
        let (_database, url) = fresh();
        let options = AnyConnectOptions::from_str(url.url.as_str()).expect("a URL");
        let mut connection: AnyConnection = options.connect().await.expect("connects");
        migrations::run(&migrations::migrations_of(url.engine)[..1], &mut connection).await.expect("migrates");
        let seed = if url.engine == Engine::Sqlite { "x'0102'" } else { "decode('0102', 'hex')" };
        for statement in [
            "INSERT INTO users (id, login, login_key, password_hash, roles, status, epoch) \
             VALUES ('usr_1', 'Ada', 'ada', 'x', 'administrator', 'active', 3)",
            &format!(
                "INSERT INTO second_factors (id, user_id, kind, sealed_seed, created_at) \
                 VALUES ('f', 'usr_1', 'totp', {seed}, 5)"
            ),
            "INSERT INTO clients (id, name, owner, auth_methods, status, epoch) \
             VALUES ('job', 'Job', '', 'client_secret_basic', 'active', 2)",
            "INSERT INTO apis (id, audience, name, grants, access_token_lifetime_s, algorithm, refresh_idle_s, \
             refresh_absolute_s) VALUES ('billing', 'https://b.example', 'B', 'password', 60, 'ES256', 60, 60)",
        ] {
            sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.expect("inserts");
        }
        connection.close().await.expect("closes");
        let store = Store::open(&url).await.expect("runs the other migrations");
        let mut load = store.begin_load().await.expect("begins");
        let everything = async |load: &mut Load, kind| {
            load.fetch_next(kind, "").await.expect("fetches").expect("exists").read().expect("reads").0
        };
        let Entries::Users(mut users) = everything(&mut load, EntryKind::User).await else { panic!("no users") };
        let user = users.remove(0).value;
        assert!(user.has_second_factor);
        let Entries::Apis(mut apis) = everything(&mut load, EntryKind::Api).await else { panic!("no APIs") };
        let api = apis.remove(0).value;
        assert_eq!((api.epoch, api.removals.len(), api.refresh.retry_s), (0, 0, 30), "its tokens stay valid");
        assert_eq!(load.load_keys().await.expect("reads").playground.version, 0);
        load.finish().await.expect("ends");
        let factor = store.find_second_factor(&user.id, "totp").await.expect("reads").expect("exists");
        assert_eq!((factor.sealed_seed, factor.last_step), (vec![1, 2], 0));
        let job = ClientId::parse("job").expect("an id");
        let mut change = store.begin_change(1).await.expect("begins");
        assert_eq!(change.find_rotation(&job).await.expect("reads"), None, "never rotated");
        assert_eq!(store.list_nodes().await.expect("reads"), []);
    }

    #[tokio::test]
    async fn a_full_disk_is_reported_and_writes_work_again_once_there_is_space_on_sqlite() {
        let (_database, url) = fresh();
        let store = Store::open(&url).await.expect("opens");
        let fill = async || {
            let mut change = store.begin_change(0).await?;
            for name in 0..1000 {
                change.take_name(&format!("{name:0100}")).await?;
            }
            change.commit().await
        };
        sqlx::query("PRAGMA max_page_count = 1").execute(&store.writer).await.expect("no more pages");
        assert!(matches!(fill().await, Err(StoreError::Unavailable(DatabaseTrouble::Full, _))));
        let again = fill().await;
        assert!(again.is_ok(), "{again:?}");
    }
}
