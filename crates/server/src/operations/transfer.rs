//! From one database to another, with everything that is in it: what was issued goes on.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use countersign_store::{CopiedTable, DatabaseUrl, Store, StoreError};

use crate::config::{Config, ConfigError};
use crate::operations::data_directory::{DataDirectory, DirectoryError, failed};
use crate::operations::nodes::find_living;

/// The setting of a database whose content is now elsewhere: it says where.
pub(crate) const MOVED_TO: &str = "moved_to";

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// Both are one.
    #[error("--to names the source database; choose another")]
    Same,
    /// A node is alive: what it writes meanwhile would be lost.
    #[error("a server is using the {0} database; stop every node first")]
    Live(&'static str),
    /// The database was copied already, and the copy may have gone on.
    #[error(
        "this database was already copied to {0}, which may have changed since; migrate the copy, or add \
         --force to migrate this one"
    )]
    Moved(String),
    /// There is something in the other database.
    #[error("{0}: is not empty; choose a new database, or move this one away first")]
    Occupied(String),
    /// There is nothing to copy.
    #[error("the database is empty; choose another with --data-dir, --config or --database-url")]
    Empty,
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A key of the configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Copying failed, in either database; nothing is visible in the other one.
    #[error("nothing was copied: {0}")]
    Copy(StoreError),
    /// One of the databases cannot be used.
    #[error("the {0} database: {1}")]
    Store(&'static str, StoreError),
}

/// Copies the configured database into another, which is new, and marks it as moved, so that no server serves it any more.
///
/// No server may be alive on either. Until all is copied and compared, nothing is visible in the other database. If this ends
/// at any moment, one of the two can be served: the other if it was committed, and else this one, with `serve --force` where
/// it was marked already.
pub async fn transfer(config: &Config, to: &DatabaseUrl, force: bool) -> Result<Vec<CopiedTable>, TransferError> {
    let (of_this, of_other) =
        (|error| TransferError::Store("source", error), |error| TransferError::Store("target", error));
    let from = config.database()?;
    if from.to_string() == to.to_string() {
        return Err(TransferError::Same);
    }
    // Nobody serves from this directory while it is held.
    let _directory = DataDirectory::open(&config.data_dir)?;
    if from.sqlite_file().is_some_and(|file| !file.exists()) {
        return Err(TransferError::Empty);
    }
    let source = Store::open(&from).await.map_err(of_this)?;
    check_alone(&source, "source").await?;
    if source.is_unused().await.map_err(of_this)? {
        return Err(TransferError::Empty);
    }
    let moved = source.find_setting(MOVED_TO).await.map_err(of_this)?;
    // The same target may be tried again: a try that was broken off has marked the source, and left nothing there.
    if let Some(elsewhere) = moved.filter(|elsewhere| !force && *elsewhere != to.to_string()) {
        return Err(TransferError::Moved(elsewhere));
    }
    if let Some(file) = to.sqlite_file() {
        let mut options = OpenOptions::new();
        let made = options.create(true).append(true).mode(0o600).open(&file);
        made.map_err(|error: io::Error| failed(&file, error))?;
    }
    let target = Store::open(to).await.map_err(of_other)?;
    check_alone(&target, "target").await?;
    if !target.is_unused().await.map_err(of_other)? {
        return Err(TransferError::Occupied(to.to_string()));
    }
    // Of an earlier try that was broken off: nobody is to find it in the copy.
    source.delete_setting(MOVED_TO).await.map_err(of_this)?;
    let copied = source.copy_into(&target).await.map_err(TransferError::Copy)?;
    source.put_setting(MOVED_TO, &to.to_string()).await.map_err(of_this)?;
    let tables = copied.commit().await.map_err(of_other)?;
    target.close().await;
    source.close().await;
    Ok(tables)
}

async fn check_alone(store: &Store, which: &'static str) -> Result<(), TransferError> {
    match find_living(store).await.map_err(|error| TransferError::Store(which, error))? {
        Some(_) => Err(TransferError::Live(which)),
        None => Ok(()),
    }
}
