//! The migrations of each engine, and how they run.

use sqlx::any::AnyConnectOptions;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, Connection, Row, SqlSafeStr};

use super::connection::{connect_first, prepare};
use super::engine::Engine;
use crate::error::StoreError;

/// A migration: version, name, statements.
type NamedMigration = (i64, &'static str, &'static str);

const SQLITE_MIGRATIONS: &[NamedMigration] = &[
    (1, "start", include_str!("../../migrations/sqlite/0001_start.sql")),
    (2, "people", include_str!("../../migrations/sqlite/0002_people.sql")),
    (3, "administration", include_str!("../../migrations/sqlite/0003_administration.sql")),
    (4, "understand", include_str!("../../migrations/sqlite/0004_understand.sql")),
    (5, "order", include_str!("../../migrations/sqlite/0005_order.sql")),
    (6, "rights", include_str!("../../migrations/sqlite/0006_rights.sql")),
    (7, "sign_ins", include_str!("../../migrations/sqlite/0007_sign_ins.sql")),
    (8, "nodes", include_str!("../../migrations/sqlite/0008_nodes.sql")),
    (9, "guessing", include_str!("../../migrations/sqlite/0009_guessing.sql")),
    (10, "refresh_retry", include_str!("../../migrations/sqlite/0010_refresh_retry.sql")),
    (11, "known_devices", include_str!("../../migrations/sqlite/0011_known_devices.sql")),
    (12, "identity", include_str!("../../migrations/sqlite/0012_identity.sql")),
    (13, "sealing_keys", include_str!("../../migrations/sqlite/0013_sealing_keys.sql")),
    (14, "last_change", include_str!("../../migrations/sqlite/0014_last_change.sql")),
];
const POSTGRES_MIGRATIONS: &[NamedMigration] = &[
    (1, "start", include_str!("../../migrations/postgres/0001_start.sql")),
    (2, "people", include_str!("../../migrations/postgres/0002_people.sql")),
    (3, "administration", include_str!("../../migrations/postgres/0003_administration.sql")),
    (4, "understand", include_str!("../../migrations/postgres/0004_understand.sql")),
    (5, "order", include_str!("../../migrations/postgres/0005_order.sql")),
    (6, "rights", include_str!("../../migrations/postgres/0006_rights.sql")),
    (7, "sign_ins", include_str!("../../migrations/postgres/0007_sign_ins.sql")),
    (8, "nodes", include_str!("../../migrations/postgres/0008_nodes.sql")),
    (9, "guessing", include_str!("../../migrations/postgres/0009_guessing.sql")),
    (10, "refresh_retry", include_str!("../../migrations/postgres/0010_refresh_retry.sql")),
    (11, "known_devices", include_str!("../../migrations/postgres/0011_known_devices.sql")),
    (12, "identity", include_str!("../../migrations/postgres/0012_identity.sql")),
    (13, "sealing_keys", include_str!("../../migrations/postgres/0013_sealing_keys.sql")),
    (14, "last_change", include_str!("../../migrations/postgres/0014_last_change.sql")),
];

/// Runs the missing migrations. sqlx verifies the checksums of the others and, on PostgreSQL, takes a lock.
pub(super) async fn run_missing(engine: Engine, options: &AnyConnectOptions) -> Result<(), StoreError> {
    let mut connection = connect_first(options).await?;
    prepare(engine, &mut connection).await?;
    if engine == Engine::Postgres {
        // A migration may take long, but waiting for another node's may not.
        sqlx::query("SET statement_timeout = 0").execute(&mut connection).await?;
        sqlx::query("SET lock_timeout = 5000").execute(&mut connection).await?;
        check_encoding(&mut connection).await?;
    }
    run(migrations_of(engine), &mut connection).await?;
    Ok(connection.close().await?)
}

/// Fails if a new database would refuse names that other databases store. One that is already in use stays usable.
async fn check_encoding(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let find = "SELECT current_setting('server_encoding'), COUNT(to_regclass('_sqlx_migrations'))";
    let row = sqlx::query(find).fetch_one(connection).await?;
    let (encoding, migrated): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
    // SQL_ASCII stores the bytes as they are.
    if migrated > 0 || ["UTF8", "SQL_ASCII"].contains(&&*encoding) {
        Ok(())
    } else {
        Err(StoreError::Encoding(encoding))
    }
}

pub(super) async fn run(migrations: &[NamedMigration], connection: &mut AnyConnection) -> Result<(), StoreError> {
    Ok(Migrator::with_migrations(to_sqlx(migrations)).run_direct(None, connection, false).await?)
}

/// The migrations of an engine.
pub(super) fn migrations_of(engine: Engine) -> &'static [NamedMigration] {
    match engine {
        Engine::Sqlite => SQLITE_MIGRATIONS,
        Engine::Postgres => POSTGRES_MIGRATIONS,
    }
}

/// Every migration of this version, with its checksum.
pub(super) fn list_known(engine: Engine) -> Vec<Migration> {
    to_sqlx(migrations_of(engine))
}

fn to_sqlx(migrations: &[NamedMigration]) -> Vec<Migration> {
    let migration = |(version, name, sql): &NamedMigration| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    };
    migrations.iter().map(migration).collect()
}
