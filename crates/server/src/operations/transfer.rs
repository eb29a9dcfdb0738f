//! Copies everything from one database to another. Tokens and secrets stay valid.

use countersign_store::{CopiedTable, CopyError, DatabaseUrl, MOVED_TO, Store, StoreError};

use crate::config::{Config, ConfigError};
use crate::keys::sealing_files::KeyFiles;
use crate::operations::data_directory::{DataDirectory, DirectoryError, is_open, prepare_private};
use crate::operations::identity::{Found, IdentityError, Memory, check_same};
use crate::operations::nodes::{find_living, is_alive};

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// Both databases are the same.
    #[error("--to names the source database; choose another")]
    Same,
    /// A node is running. What it writes during the copy would be lost.
    #[error("a server is using the {0} database; stop every node first")]
    Live(&'static str),
    /// A program has an SQLite file open.
    #[error("{0}: a program has this file open; stop the server or close the program first")]
    Open(String),
    /// The database was already copied, and the copy may have changed.
    #[error(
        "this database was already copied to {0}, which may have changed since; migrate the copy, or add \
         --force to migrate this one"
    )]
    Moved(String),
    /// The target database is not empty.
    #[error("{0}: is not empty; choose a new database, or move this one out of the way first")]
    Occupied(String),
    /// The source database is empty.
    #[error("the database is empty; choose another with --data-dir, --config or --database-url")]
    Empty,
    /// The data directory was used with another database than the source.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The sealing key is missing, or belongs to another database.
    #[error("{0}: this is not the sealing key of the source database; check --data-dir, --config and --database-url")]
    OtherKey(String),
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Copying failed in one of the databases. Nothing is visible in the target.
    #[error("nothing was copied: {0}")]
    Copy(#[from] CopyError),
    /// One of the databases cannot be used.
    #[error("the {0} database: {1}")]
    Store(&'static str, StoreError),
}

/// Copies the configured database to another, new one, and marks it as copied, so that servers no longer use it.
///
/// No server may be running on either. Nothing is visible in the target until everything is copied and compared. If this is
/// interrupted, one of the two can be used: the target if it was committed, otherwise the source, with `serve --force` if it
/// was already marked. Until then, nothing else can write to the source.
pub async fn transfer(config: &Config, to: &DatabaseUrl, force: bool) -> Result<Vec<CopiedTable>, TransferError> {
    let (of_this, of_other) =
        (|error| TransferError::Store("source", error), |error| TransferError::Store("target", error));
    let from = config.database()?;
    if from.to_string() == to.to_string() {
        return Err(TransferError::Same);
    }
    // No server can use this directory while it is locked.
    let _directory = DataDirectory::open(&config.data_dir)?;
    if from.sqlite_file().is_some_and(|file| !file.exists()) {
        return Err(TransferError::Empty);
    }
    for file in [&from, to].into_iter().filter_map(DatabaseUrl::sqlite_file) {
        // A server with another data directory does not lock this one.
        if file.exists() && is_open(&file)? {
            return Err(TransferError::Open(file.display().to_string()));
        }
    }
    check_own(config, &from).await?;
    let source = Store::open(&from).await.map_err(of_this)?;
    check_alone(&source, "source").await?;
    if source.is_unused().await.map_err(of_this)? {
        return Err(TransferError::Empty);
    }
    let moved = source.find_setting(MOVED_TO).await.map_err(of_this)?;
    // The same target can be retried. An interrupted attempt has marked the source, and left nothing in the target.
    if let Some(elsewhere) = moved.filter(|elsewhere| !force && *elsewhere != to.to_string()) {
        return Err(TransferError::Moved(elsewhere));
    }
    if let Some(file) = to.sqlite_file() {
        prepare_private(&file)?;
    }
    let target = Store::open(to).await.map_err(of_other)?;
    check_alone(&target, "target").await?;
    if !target.is_unused().await.map_err(of_other)? {
        return Err(TransferError::Occupied(to.to_string()));
    }
    let held = source.hold_writes().await.map_err(of_this)?;
    // Started since it was found to be alone.
    if source.list_nodes().await.map_err(of_this)?.iter().any(is_alive) {
        return Err(TransferError::Live("source"));
    }
    let copied = source.copy_into(&target).await?;
    held.mark_moved(&to.to_string()).await.map_err(of_this)?;
    let tables = copied.commit().await.map_err(of_other)?;
    target.close().await;
    source.close().await;
    Ok(tables)
}

/// Fails if the source belongs to another data directory or sealing key. It would be marked as copied, and its own servers
/// would no longer start.
async fn check_own(config: &Config, from: &DatabaseUrl) -> Result<(), TransferError> {
    let found = Found::read(from).await.map_err(|error| TransferError::Store("source", error))?;
    let Some(known) = found.key_check else { return Ok(()) };
    check_same(Memory::read(&config.data_dir)?.as_ref(), found.id.as_deref(), from, &config.data_dir)?;
    match KeyFiles::read(config)?.hold(&known) {
        Some(_) => Ok(()),
        None => Err(TransferError::OtherKey(config.sealing_key_path().display().to_string())),
    }
}

async fn check_alone(store: &Store, which: &'static str) -> Result<(), TransferError> {
    match find_living(store).await.map_err(|error| TransferError::Store(which, error))? {
        Some(_) => Err(TransferError::Live(which)),
        None => Ok(()),
    }
}
