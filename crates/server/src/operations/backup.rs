//! Backups: a consistent copy of the database, the sealing key and the configuration, also while the server runs.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use countersign_protocol::UnixTime;
use countersign_store::{DatabaseUrl, SEALING_KEY_CHECK, SQLITE_FILE, Store, StoreError};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::admin::operator;
use crate::config::SEALING_KEY_FILE;
use crate::config::{Config, ConfigError};
use crate::keys::sealing_files::KeyFiles;
use crate::operations::data_directory::{
    DirectoryError, failed, is_locked, is_replaced, sync_directory, write_private,
};
use crate::operations::demo_file;

/// The file that identifies a directory as a backup.
pub const MANIFEST: &str = "backup.json";
/// The configuration in a backup.
pub const CONFIGURATION: &str = "countersign.toml";
/// Files with readable credentials, which belong to the database that knows them.
pub(crate) const CREDENTIALS: [&str; 2] = [operator::FILE, demo_file::FILE];
/// The format of backups.
const FORMAT: u32 = 1;

/// Why a backup failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The directory cannot be used for the backup.
    #[error("{0}: {1}")]
    Target(String, &'static str),
    /// The data directory or the backup directory cannot be read or written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no sealing key. The database is useless without it.
    #[error("{0}: missing sealing key; the database is useless without it")]
    NoSealingKey(String),
    /// The sealing key does not match the database. Otherwise, this would only be noticed at the restore.
    #[error("{0}: does not match the database")]
    SealingKeyWrong(String),
    /// A database without a running server changed during the backup.
    #[error("a server started during the backup; try again once it is ready")]
    StartedMeanwhile,
    /// The running server has a different file open.
    #[error(
        "{0}: the running server has a different file open, which was deleted or replaced; see \"The SQLite file was \
         deleted or replaced\" in docs/troubleshoot.md before you stop it"
    )]
    Replaced(String),
}

/// The description of a backup.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    /// The version that created it.
    pub made_by: String,
    /// When it was created.
    pub made_at: UnixTime,
    /// The database engine. For PostgreSQL, the backup does not contain the database.
    pub database: Engine,
    /// The last change in the database.
    pub change: i64,
}

/// A database engine.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// Returns the engine of a database.
    pub fn of(database: &DatabaseUrl) -> Self {
        if database.sqlite_file().is_some() { Self::Sqlite } else { Self::Postgres }
    }
}

/// Returns the name of the engine.
impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

impl Manifest {
    /// Reads the description of a backup. Returns `None` if the directory is not a backup.
    pub(crate) fn read(directory: &Path) -> Option<Self> {
        let text = fs::read(directory.join(MANIFEST)).ok()?;
        serde_json::from_slice(&text).ok().filter(|manifest: &Self| manifest.format == FORMAT)
    }
}

/// Writes a complete backup to `target`, or nothing. The server can keep running, and nothing in its data directory
/// changes.
pub async fn make(config: &Config, target: &Path, configuration: &str, now: UnixTime) -> Result<Manifest, BackupError> {
    let target = check_target(&config.data_dir, target)?;
    let writing = Writing::begin(target)?;
    let key_path = config.sealing_key_path();
    let files = KeyFiles::read(config)?;
    if files.present.is_none() && files.next.is_none() {
        return Err(BackupError::NoSealingKey(key_path.display().to_string()));
    }
    let copied = copy_database(config, &writing.file(SQLITE_FILE)).await?;
    let held = copied.key_check.as_deref().and_then(|check| files.hold(check));
    let held = held.ok_or_else(|| BackupError::SealingKeyWrong(key_path.display().to_string()))?;
    write_private(&writing.file(SEALING_KEY_FILE), &held.in_use.key.to_text())?;
    write_private(&writing.file(CONFIGURATION), configuration)?;
    for name in CREDENTIALS {
        copy_private(&config.data_dir.join(name), &writing.file(name))?;
    }
    let manifest = Manifest {
        format: FORMAT,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: now,
        database: copied.engine,
        change: copied.change,
    };
    // Serializing strings and numbers cannot fail.
    write_private(&writing.file(MANIFEST), &(serde_json::to_string_pretty(&manifest).unwrap_or_default() + "\n"))?;
    writing.finish()?;
    Ok(manifest)
}

/// Returns the absolute path of a directory that can become a backup: outside of the data directory, and empty.
fn check_target(living: &Path, target: &Path) -> Result<PathBuf, BackupError> {
    let refuse = |why| Err(BackupError::Target(target.display().to_string(), why));
    let living = living.canonicalize().map_err(|error| failed(living, error))?;
    let whole = match target.canonicalize() {
        Ok(whole) => whole,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let parent = parent.canonicalize().map_err(|error| failed(parent, error))?;
            let Some(name) = target.file_name() else { return refuse("is not a directory name") };
            parent.join(name)
        }
        Err(error) => return Err(failed(target, error).into()),
    };
    if whole.starts_with(&living) {
        return refuse("is the data directory or inside it; choose another directory");
    }
    let device = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
    if device(&whole).is_some() && device(&whole) != whole.parent().and_then(device) {
        return refuse("is a mount point; choose a directory inside it");
    }
    match fs::read_dir(&whole).map(Iterator::count) {
        Ok(entries) if entries > 0 => refuse("is not empty; choose a new directory"),
        Ok(_) => Ok(whole),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(whole),
        Err(error) if error.kind() == ErrorKind::NotADirectory => refuse("is not a directory"),
        Err(error) => Err(failed(target, error).into()),
    }
}

/// What is known about a database after it was copied.
struct Copied {
    engine: Engine,
    change: i64,
    key_check: Option<String>,
}

/// Copies an SQLite database and reads the copy. A PostgreSQL database is only read, because it is copied with its own
/// tools.
async fn copy_database(config: &Config, file: &Path) -> Result<Copied, BackupError> {
    let database = config.database()?;
    let engine = Engine::of(&database);
    let is_living = is_locked(&config.data_dir)?;
    if let Some(file) = database.sqlite_file().filter(|_| is_living)
        && is_replaced(&config.data_dir, &file)?
    {
        return Err(BackupError::Replaced(file.display().to_string()));
    }
    let store = Store::open_read_only(&database, is_living).await?;
    let copy = match engine {
        Engine::Postgres => store,
        Engine::Sqlite => {
            // SQLite writes to an empty file and keeps its mode.
            write_private(file, "")?;
            store.copy_to(file).await?;
            store.close().await;
            if !is_living && is_locked(&config.data_dir)? {
                return Err(BackupError::StartedMeanwhile);
            }
            Store::open_read_only(&DatabaseUrl::sqlite_at(file)?, false).await?
        }
    };
    copy.check_integrity().await?;
    let key_check = copy.find_setting(SEALING_KEY_CHECK).await?;
    let change = copy.read_counters().await?.change;
    copy.close().await;
    if engine == Engine::Sqlite {
        fs::File::open(file).and_then(|file| file.sync_all()).map_err(|error| failed(file, error))?;
    }
    Ok(Copied { engine, change, key_check })
}

/// Copies a file privately and durably, if it exists.
pub(crate) fn copy_private(from: &Path, to: &Path) -> Result<bool, DirectoryError> {
    let text = match fs::read_to_string(from) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(from, error)),
    };
    write_private(to, &text)?;
    Ok(true)
}

/// A backup that is written next to its target. If it is dropped before it is finished, nothing remains.
struct Writing {
    target: PathBuf,
    beside: PathBuf,
}

impl Writing {
    fn begin(target: PathBuf) -> Result<Self, DirectoryError> {
        let mut beside = target.clone().into_os_string();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        match DirBuilder::new().mode(0o700).create(&beside) {
            Ok(()) => Ok(Self { target, beside }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let why = "already exists: another backup is running, or one was interrupted; in that case, remove it";
                Err(failed(&beside, io::Error::other(why)))
            }
            Err(error) => Err(failed(&beside, error)),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.beside.join(name)
    }

    /// Moves it to its target. A directory there must be empty, or the system refuses.
    fn finish(self) -> Result<(), DirectoryError> {
        sync_directory(&self.beside)?;
        fs::rename(&self.beside, &self.target).map_err(|error| failed(&self.target, error))?;
        sync_directory(self.target.parent().unwrap_or(Path::new("/")))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // It still exists unless it has become the backup.
        let _ = fs::remove_dir_all(&self.beside);
    }
}
