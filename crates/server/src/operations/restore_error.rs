//! Why a restore was refused.

use countersign_store::StoreError;

use crate::admin::change_error::ChangeError;
use crate::config::ConfigError;
use crate::keys::error::KeyRingError;
use crate::operations::backup::{Engine, MANIFEST};
use crate::operations::data_directory::DirectoryError;
use crate::operations::identity::IdentityError;

/// The suffix for existing files that are kept.
pub(super) const KEPT: &str = ".before-restore";

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The directory contains no backup.
    #[error("{0}: is not a backup; it contains no {MANIFEST} that this version can read")]
    NoBackup(String),
    /// The backup lacks its sealing key.
    #[error("{0}: is missing in the backup, and sealed data cannot be decrypted without it; use another backup")]
    NoKey(String),
    /// The backup is for another engine.
    #[error("the backup is for {backup}, but --database-url names {configured}; use the same engine")]
    OtherEngine {
        /// The backup's engine.
        backup: Engine,
        /// The configured engine.
        configured: Engine,
    },
    /// The backup is inside its target.
    #[error("{0}: the data directory is inside the backup; choose another with --data-dir")]
    IntoItself(String),
    /// The sealing key in the backup does not match the database.
    #[error("{key}: does not match {database}; restore both from the same backup, or choose another database")]
    SealingKeyWrong {
        /// The key in the backup.
        key: String,
        /// The location of the database.
        database: String,
    },
    /// The database in the backup is damaged, or belongs to another program.
    #[error("{0}: failed to read the database in the backup: {1}; use another backup")]
    DamagedBackup(String, String),
    /// A file with credentials in the backup is damaged.
    #[error("{0}: is damaged; use another backup, or delete this file from it and let `serve {1}` create a new one")]
    DamagedCredentials(String, &'static str),
    /// The PostgreSQL dump was not restored yet.
    #[error(
        "{database}: is not a Countersign database yet ({reason}); restore the dump into it first, with \
         pg_restore --single-transaction"
    )]
    NoDatabase {
        /// The location of the database.
        database: String,
        /// Its error.
        reason: String,
    },
    /// The named database cannot be used.
    #[error("{0}: {1}")]
    Database(String, StoreError),
    /// A node is using the database.
    #[error(
        "{database}: a server is using this database (node {node}); stop every node first, or choose another database"
    )]
    Alive {
        /// The location of the database.
        database: String,
        /// The node's ID.
        node: String,
    },
    /// A program has the file open that would be replaced.
    #[error("{0}: a program has this database open; if it is a server, stop it first, or choose another database")]
    InUse(String),
    /// The configured sealing key file contains another key, or none.
    #[error(
        "sealing_key_file is {0}, which does not contain the sealing key of the backup; unset it to restore the key to \
         the data directory, or copy {1} to a file that no other server uses, and set sealing_key_file to that file"
    )]
    OtherKeyFile(String, String),
    /// A file already exists.
    #[error("{0}: already exists; --replace renames it to {0}{KEPT}")]
    Occupied(String),
    /// An earlier restore has kept a file there.
    #[error("{0}: was left by an earlier restore, which may have been interrupted; move it out of the way first")]
    KeptBefore(String),
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// It is unknown which database the directory belongs to.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A signing key cannot be created or used.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// The change was refused.
    #[error("restore: {}", .0.for_operator())]
    Problem(#[from] ChangeError),
}
