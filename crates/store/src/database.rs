//! The one place that knows which engine it is: opening, migrating, and how transactions begin.

mod file;
mod inspection;
mod pooler;
mod url;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use countersign_protocol::refusal::DatabaseTrouble;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyConnection, AnyPool, ConnectOptions, Connection, SqlSafeStr, Transaction};
use tokio::time::timeout;

use crate::error::StoreError;
use crate::reading::in_time;
use crate::write_queue::WriteQueue;

use self::file::OpenFile;
pub use inspection::{Migrated, ReadOnlyCause};
pub use url::DatabaseUrl;

/// The first connection must stand within this time, so that a start fails within ten seconds.
const FIRST_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A statement waits at most this long for a connection: callers are told 503 rather than kept.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection to a server is made anew after this time, so that it follows a server that has moved.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// A connection to a server that was not used for this long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// Connections that only read, on SQLite: two, since reads there are few and short.
const SQLITE_READERS: u32 = 2;
/// Connections to PostgreSQL by which a node follows changes and tells that it lives: others, however many wait, must not make
/// it call the database lost.
const POSTGRES_FOLLOWERS: u32 = 2;

/// A migration: its version, its name, its statements.
type NamedMigration = (i64, &'static str, &'static str);

const SQLITE_MIGRATIONS: &[NamedMigration] = &[
    (1, "start", include_str!("../migrations/sqlite/0001_start.sql")),
    (2, "people", include_str!("../migrations/sqlite/0002_people.sql")),
    (3, "administration", include_str!("../migrations/sqlite/0003_administration.sql")),
    (4, "understand", include_str!("../migrations/sqlite/0004_understand.sql")),
    (5, "order", include_str!("../migrations/sqlite/0005_order.sql")),
    (6, "rights", include_str!("../migrations/sqlite/0006_rights.sql")),
    (7, "sign_ins", include_str!("../migrations/sqlite/0007_sign_ins.sql")),
    (8, "nodes", include_str!("../migrations/sqlite/0008_nodes.sql")),
    (9, "guessing", include_str!("../migrations/sqlite/0009_guessing.sql")),
    (10, "refresh_retry", include_str!("../migrations/sqlite/0010_refresh_retry.sql")),
    (11, "known_devices", include_str!("../migrations/sqlite/0011_known_devices.sql")),
    (12, "identity", include_str!("../migrations/sqlite/0012_identity.sql")),
    (13, "sealing_keys", include_str!("../migrations/sqlite/0013_sealing_keys.sql")),
    (14, "last_change", include_str!("../migrations/sqlite/0014_last_change.sql")),
];
const POSTGRES_MIGRATIONS: &[NamedMigration] = &[
    (1, "start", include_str!("../migrations/postgres/0001_start.sql")),
    (2, "people", include_str!("../migrations/postgres/0002_people.sql")),
    (3, "administration", include_str!("../migrations/postgres/0003_administration.sql")),
    (4, "understand", include_str!("../migrations/postgres/0004_understand.sql")),
    (5, "order", include_str!("../migrations/postgres/0005_order.sql")),
    (6, "rights", include_str!("../migrations/postgres/0006_rights.sql")),
    (7, "sign_ins", include_str!("../migrations/postgres/0007_sign_ins.sql")),
    (8, "nodes", include_str!("../migrations/postgres/0008_nodes.sql")),
    (9, "guessing", include_str!("../migrations/postgres/0009_guessing.sql")),
    (10, "refresh_retry", include_str!("../migrations/postgres/0010_refresh_retry.sql")),
    (11, "known_devices", include_str!("../migrations/postgres/0011_known_devices.sql")),
    (12, "identity", include_str!("../migrations/postgres/0012_identity.sql")),
    (13, "sealing_keys", include_str!("../migrations/postgres/0013_sealing_keys.sql")),
    (14, "last_change", include_str!("../migrations/postgres/0014_last_change.sql")),
];

/// Makes both engines known to sqlx; called once by `main` and by the testkit.
pub fn install_drivers() {
    install_default_drivers();
}

/// The SQLite database in a data directory.
pub const SQLITE_FILE: &str = "countersign.db";

/// How many connections a node holds to PostgreSQL at most, beside two by which it follows changes. On SQLite it changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// For single reads.
    pub read: u32,
    /// For writes: what refresh, revocation and administration keep busy.
    pub write: u32,
}

impl Default for Connections {
    /// Eight of each.
    fn default() -> Self {
        Self { read: 8, write: 8 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    fn migrations(self) -> &'static [NamedMigration] {
        match self {
            Self::Sqlite => SQLITE_MIGRATIONS,
            Self::Postgres => POSTGRES_MIGRATIONS,
        }
    }
}

/// The open database.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Engine,
    reader: AnyPool,
    writer: AnyPool,
    /// What nothing else is to keep waiting: following changes, and heartbeats.
    follower: AnyPool,
    /// Writes that share commits, on SQLite.
    queue: Option<Arc<WriteQueue>>,
    /// The file, on SQLite.
    file: Option<Arc<OpenFile>>,
}

impl Store {
    /// Opens and migrates the database. The first connection is unpooled, so that the cause of a failure is known.
    pub async fn open(database: &DatabaseUrl) -> Result<Self, StoreError> {
        let engine = database.engine;
        let options = AnyConnectOptions::from_str(database.url.as_str())?.disable_statement_logging();
        pooler::check(engine, &options).await?;
        migrate(engine, &options).await?;
        let file = database.sqlite_file().map(OpenFile::find).transpose()?.map(Arc::new);
        let options = AnyConnectOptions::from_str(database.without_making().as_str())?.disable_statement_logging();
        let pool = |connections| {
            let file = file.clone();
            AnyPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                // A connection to a file that was deleted cannot be made again.
                .max_lifetime((engine == Engine::Postgres).then_some(MAX_LIFETIME))
                .idle_timeout((engine == Engine::Postgres).then_some(IDLE_TIMEOUT))
                // A file does not go away as a server does, and asking it takes as long as a short statement.
                .test_before_acquire(engine == Engine::Postgres)
                .after_release(move |connection, _| Box::pin(is_usable(engine, connection)))
                .after_connect(move |connection, _| {
                    let file = file.clone();
                    Box::pin(async move {
                        // Another file in its place is not touched.
                        file.as_deref().map_or(Ok(()), OpenFile::check)?;
                        prepare_connection(engine, connection).await
                    })
                })
                .connect_lazy_with(options.clone())
        };
        let Connections { read, write } = database.connections;
        let (reader, writer, follower, queue) = match engine {
            Engine::Sqlite => (pool(SQLITE_READERS), pool(1), pool(1), Some(Arc::default())),
            Engine::Postgres => (pool(read), pool(write), pool(POSTGRES_FOLLOWERS), None),
        };
        Ok(Self { engine, reader, writer, follower, queue, file })
    }

    /// Closes every connection; SQLite folds its log into the database.
    pub async fn close(&self) {
        self.reader.close().await;
        self.follower.close().await;
        self.writer.close().await;
    }

    /// The connections for single reads.
    pub(crate) fn reader(&self) -> &AnyPool {
        &self.reader
    }

    /// The connections by which a node follows changes and tells that it lives.
    pub(crate) fn follower(&self) -> &AnyPool {
        &self.follower
    }

    /// True if several nodes can have it open.
    pub(crate) fn is_shared(&self) -> bool {
        self.engine == Engine::Postgres
    }

    /// The writes that share commits, where they do.
    pub(crate) fn write_queue(&self) -> Option<&WriteQueue> {
        self.queue.as_deref()
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin_write(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let statement = match self.engine {
            Engine::Sqlite => "BEGIN IMMEDIATE",
            // Whatever the default: serialisable transactions that touch the change counter would end each other.
            Engine::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        };
        self.check_file()?;
        Ok(self.writer.begin_with(statement).await?)
    }

    /// Begins a transaction that writes for as long as it takes.
    pub(crate) async fn begin_long_write(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let mut transaction = self.begin_write().await?;
        if self.engine == Engine::Postgres {
            for bound in ["SET LOCAL statement_timeout = 0", "SET LOCAL idle_in_transaction_session_timeout = 0"] {
                sqlx::query(bound).execute(&mut *transaction).await?;
            }
        }
        Ok(transaction)
    }

    /// Begins a transaction whose reads all see one moment.
    pub(crate) async fn begin_snapshot(&self) -> Result<Transaction<'static, Any>, StoreError> {
        self.begin_snapshot_of(&self.follower).await
    }

    /// The same for a read that may take its time: nobody who follows changes waits for it.
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
            // A large registry takes its time; that it goes on is watched where it is read.
            for bound in ["SET LOCAL statement_timeout = 0", "SET LOCAL lock_timeout = 4000"] {
                in_time("a snapshot", sqlx::query(bound).execute(&mut *snapshot)).await?;
            }
        }
        Ok(snapshot)
    }
}

/// A connection beside the pools, of which the cause of a failure is known.
async fn connect_first(options: &AnyConnectOptions) -> Result<AnyConnection, StoreError> {
    let lost = |reason| StoreError::Unavailable(DatabaseTrouble::Lost, reason);
    match timeout(FIRST_CONNECT_TIMEOUT, options.connect()).await {
        Ok(connected) => connected.map_err(|error| lost(describe(&error))),
        Err(_) => Err(lost(format!("no connection within {} s", FIRST_CONNECT_TIMEOUT.as_secs()))),
    }
}

/// Runs the migrations that are missing; sqlx checks the sums of those that ran and, on PostgreSQL, locks out others.
async fn migrate(engine: Engine, options: &AnyConnectOptions) -> Result<(), StoreError> {
    let mut connection = connect_first(options).await?;
    prepare_connection(engine, &mut connection).await?;
    if engine == Engine::Postgres {
        // A migration may take long; waiting for another node's may not.
        sqlx::query("SET statement_timeout = 0").execute(&mut connection).await?;
        sqlx::query("SET lock_timeout = 5000").execute(&mut connection).await?;
    }
    run_migrations(engine.migrations(), &mut connection).await?;
    Ok(connection.close().await?)
}

async fn run_migrations(migrations: &[NamedMigration], connection: &mut AnyConnection) -> Result<(), StoreError> {
    Ok(Migrator::with_migrations(to_sqlx(migrations)).run_direct(None, connection, false).await?)
}

/// Every migration of this version, with its sum.
fn known_migrations(engine: Engine) -> Vec<Migration> {
    to_sqlx(engine.migrations())
}

fn to_sqlx(migrations: &[NamedMigration]) -> Vec<Migration> {
    let migration = |(version, name, sql): &NamedMigration| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    };
    migrations.iter().map(migration).collect()
}

/// `synchronous=FULL`: in WAL mode NORMAL may lose an acknowledged commit at a power cut.
async fn prepare_connection(engine: Engine, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let statements: &[&str] = match engine {
        Engine::Sqlite => &[
            "PRAGMA busy_timeout = 2000",
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            // In KiB. What a token needs is in the registry: pages that are kept serve changes only, and three connections
            // keep them.
            "PRAGMA cache_size = -512",
        ],
        Engine::Postgres => &["SET statement_timeout = 5000", "SET idle_in_transaction_session_timeout = 10000"],
    };
    for statement in statements {
        sqlx::query(*statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// False for a connection that is closed instead of being used again: one to a server that has gone silent, or one to a file
/// whose transaction SQLite ended by itself, such as when the disk is full. sqlx counts that transaction for ever.
async fn is_usable(engine: Engine, connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    match engine {
        Engine::Postgres => Ok(timeout(ACQUIRE_TIMEOUT, connection.ping()).await.is_ok_and(|ping| ping.is_ok())),
        Engine::Sqlite => {
            if connection.is_in_transaction() {
                // Once this is answered, a rollback that was under way is over.
                connection.ping().await?;
            }
            Ok(!connection.is_in_transaction())
        }
    }
}

/// The innermost cause: the outer ones only repeat that connecting failed.
fn describe(error: &sqlx::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use countersign_protocol::ids::ClientId;
    use sqlx::{AssertSqlSafe, Executor};

    use super::*;
    use crate::entry::EntryKind;
    use crate::load::Load;

    /// A database that was not opened yet.
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
    async fn a_database_of_a_newer_version_or_of_other_migrations_is_left_alone() {
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
        run_migrations(&url.engine.migrations()[..1], &mut connection).await.expect("migrates");
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
        let store = Store::open(&url).await.expect("migrates the rest");
        let mut load = store.begin_load().await.expect("begins");
        let everything =
            async |load: &mut Load, kind| load.find_page(kind, "").await.expect("reads").expect("is there");
        let ids = everything(&mut load, EntryKind::User).await;
        let user = load.load_users(&ids).await.expect("reads").remove(0).value;
        assert!(user.has_second_factor);
        let ids = everything(&mut load, EntryKind::Api).await;
        let api = load.load_apis(&ids).await.expect("reads").remove(0).value;
        assert_eq!((api.epoch, api.removals.len(), api.refresh.retry_s), (0, 0, 30), "its tokens go on");
        assert_eq!(load.load_keys().await.expect("reads").playground.version, 0);
        load.finish().await.expect("ends");
        let factor = store.find_second_factor(&user.id, "totp").await.expect("reads").expect("is there");
        assert_eq!((factor.sealed_seed, factor.last_step), (vec![1, 2], 0));
        let job = ClientId::parse("job").expect("an id");
        let mut change = store.begin_change(1).await.expect("begins");
        assert_eq!(change.find_rotation(&job).await.expect("reads"), None, "never rotated");
        assert_eq!(store.list_nodes().await.expect("reads"), []);
    }

    #[tokio::test]
    async fn a_full_disk_is_said_to_be_full_and_forgotten_once_there_is_room_on_sqlite() {
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
