//! Why a restore was refused.

use countersign_store::StoreError;

use crate::admin::change_error::ChangeError;
use crate::config::ConfigError;
use crate::keys::error::KeyRingError;
use crate::operations::backup::{Engine, MANIFEST};
use crate::operations::data_directory::DirectoryError;
use crate::operations::identity::IdentityError;

/// What was in the way is kept under its name and this.
pub(super) const KEPT: &str = ".before-restore";

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is no backup in that directory.
    #[error("{0}: is no backup: there is no {MANIFEST} in it that this version reads")]
    NoBackup(String),
    /// The backup lacks its sealing key.
    #[error("{0}: is missing in the backup, and without it nothing that is sealed opens; use another backup")]
    NoKey(String),
    /// The backup is of another engine.
    #[error("the backup is of {backup}, and --database-url names {configured}; name the same engine")]
    OtherEngine {
        /// The backup's.
        backup: Engine,
        /// The configured one.
        configured: Engine,
    },
    /// The backup lies where it would be restored to.
    #[error("{0}: the data directory is this backup, or lies in it; name another by --data-dir")]
    IntoItself(String),
    /// The sealing key in the backup is not the database's.
    #[error("{key}: is not the sealing key of {database}; restore both from one backup, or name another database")]
    SealingKeyWrong {
        /// The key in the backup.
        key: String,
        /// Where the database is.
        database: String,
    },
    /// The database in the backup is damaged, or is another program's.
    #[error("{0}: the database in the backup cannot be read: {1}")]
    DamagedBackup(String, String),
    /// A file with credentials in the backup is damaged.
    #[error("{0}: is damaged; use another backup, or delete this file in it: `serve {1}` makes a new one")]
    DamagedCredentials(String, &'static str),
    /// PostgreSQL's own tools have not restored anything yet.
    #[error(
        "{database}: there is no countersign in this database yet ({reason}); restore the dump into it first, with \
         pg_restore --single-transaction"
    )]
    NoDatabase {
        /// Where it is.
        database: String,
        /// What it says.
        reason: String,
    },
    /// The database that was named cannot be used.
    #[error("{0}: {1}")]
    Database(String, StoreError),
    /// A node serves from the database.
    #[error(
        "{database}: a server serves from this database (node {node}); stop every node first, or name another database"
    )]
    Alive {
        /// Where it is.
        database: String,
        /// The node's id.
        node: String,
    },
    /// A program has the file open that would be replaced.
    #[error("{0}: a program has this database open; if it is a server, stop it first, or name another database")]
    InUse(String),
    /// The configuration names a file with another sealing key, or none.
    #[error(
        "sealing_key_file is {0}, which does not hold the sealing key of the backup; unset it to restore the key into the \
         data directory, or copy {1} to a file that no other server uses, and name that"
    )]
    OtherKeyFile(String, String),
    /// Something is there already.
    #[error("{0}: is there already; --replace keeps it beside as {0}{KEPT}")]
    Occupied(String),
    /// An earlier restore has kept something there.
    #[error("{0}: is what an earlier restore kept, which may have been cut off; move it away first")]
    KeptBefore(String),
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// It is not known which database the directory was used with.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A key of the configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A signing key cannot be made or used.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// The change was refused.
    #[error("restore: {}", .0.for_operator())]
    Problem(#[from] ChangeError),
}
