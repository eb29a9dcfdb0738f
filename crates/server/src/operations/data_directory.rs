//! The data directory, locked by this process while it runs. It contains the sealing key.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::keys::sealing::SealingKey;
use crate::operations::exposure::{Exposure, Reach, find_in_directory};

const LOCK_FILE: &str = "lock";
/// How long a start retries the lock. `doctor` holds it for a moment while checking it, which must not prevent a start.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be created, read or written.
    #[error("{path}: {error}{}", advice(error.kind()))]
    Io {
        /// The file or directory.
        path: String,
        /// The system's error.
        error: io::Error,
    },
    /// Another process has locked it.
    #[error(
        "{0}: another countersign process is using this data directory; stop it, or choose another with --data-dir"
    )]
    Locked(String),
    /// A server with another data directory uses the same SQLite file.
    #[error("{0}: another server is using this file; stop it, or use PostgreSQL to run several nodes")]
    Shared(String),
    /// Other users of the machine can read or write it, or a file with a secret in it.
    #[error("{0}")]
    Exposed(Exposure),
    /// The sealing key file contains something else.
    #[error("{0}: not a sealing key")]
    NotASealingKey(String),
    /// A file in the data directory has the name of the next sealing key, but contains something else.
    #[error("{0}: not a sealing key; delete it, unless a sealing key rotation wrote it")]
    NotANextSealingKey(String),
    /// The configuration names a file for the next sealing key that does not exist.
    #[error("{0}: no such file (sealing_key_next_file)")]
    NoNextSealingKey(String),
}

/// What to do about an error of the system, if its message does not suggest it.
pub(crate) fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        kind if is_full(kind) => "; free up space there, or raise the quota",
        ErrorKind::PermissionDenied => {
            "; give the server's user access with chown and chmod, or run chattr -i if it is immutable"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "; mount the file system read-write; if the system made it read-only, the kernel log says why"
        }
        _ => "",
    }
}

/// True if the disk is full.
pub(crate) fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// Fails if every user of the machine can access the data directory or a file with a secret in it. They could read our
/// keys, or replace them with their own. A directory that does not exist yet passes, because we create it private.
pub(crate) fn check_private(config: &Config) -> Result<(), DirectoryError> {
    match find_in_directory(config).into_iter().next().filter(|exposure| exposure.reach == Reach::Everybody) {
        Some(exposure) => Err(DirectoryError::Exposed(exposure)),
        None => Ok(()),
    }
}

/// A data directory that this process has locked until it ends.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// The lock is a system lock (`flock`), so that it ends with the process in any case.
    _lock: File,
    /// The lock of an SQLite file in another directory.
    database_lock: Option<File>,
}

impl DataDirectory {
    /// Creates the directory (0700) if necessary, and locks it.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        if path.exists() && !path.is_dir() {
            // The system's error, "file exists", would sound as if that was the problem.
            return Err(failed(path, io::Error::other("is not a directory")));
        }
        make_directory(path).map_err(|error| failed(path, error))?;
        match lock(&path.join(LOCK_FILE))? {
            Some(lock) => Ok(Self { path: path.to_owned(), _lock: lock, database_lock: None }),
            None => Err(DirectoryError::Locked(path.display().to_string())),
        }
    }

    /// Locks an SQLite file in another directory, so that two servers with different data directories do not share it. If
    /// that is a data directory, locks the whole directory.
    pub(crate) fn lock_database(&mut self, file: &Path) -> Result<(), DirectoryError> {
        let parent = file.parent().unwrap_or(Path::new("/"));
        if parent.canonicalize().ok() == self.path.canonicalize().ok() {
            return Ok(());
        }
        fs::metadata(parent).map_err(|error| failed(parent, error))?;
        let mut path = parent.join(LOCK_FILE);
        if !path.exists() {
            path = file.to_owned();
            path.as_mut_os_string().push(".lock");
        }
        self.database_lock = lock(&path)?;
        match self.database_lock {
            Some(_) => Ok(()),
            None => Err(DirectoryError::Shared(file.display().to_string())),
        }
    }

    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a file in the directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Creates an empty private file (0600) if there is none. SQLite creates its `-wal` and `-shm` files with the same mode.
pub(crate) fn prepare_private(path: &Path) -> Result<(), DirectoryError> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).open(path).map(drop).map_err(|error| failed(path, error))
}

/// Locks a file, which is created if necessary. Returns `None` if another process has locked it.
fn lock(path: &Path) -> Result<Option<File>, DirectoryError> {
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).open(path).map_err(|error| failed(path, error))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(failed(path, error)),
        }
    }
    Ok(None)
}

/// Creates a private directory (0700) and its parents, durably.
fn make_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.exists() {
        make_directory(parent)?;
    }
    let is_new = !path.exists();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    match File::open(parent).and_then(|parent| parent.sync_all()) {
        Err(error) if is_new => Err(error),
        // An interrupted start may have created it. An older one may be in a directory that we cannot read or sync.
        _ => Ok(()),
    }
}

/// True if a server is using this directory. Writes nothing, and keeps no lock.
pub(crate) fn is_locked(path: &Path) -> Result<bool, DirectoryError> {
    let lock_path = path.join(LOCK_FILE);
    let lock = match File::open(&lock_path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(&lock_path, error)),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(failed(&lock_path, error)),
    }
}

/// True if a program has an SQLite file open, because it then holds a lock on it. This process must not have it open.
/// Otherwise, its own locks would be released here.
pub(crate) fn is_open(file: &Path) -> Result<bool, DirectoryError> {
    let opened = OpenOptions::new().write(true).open(file).map_err(|error| failed(file, error))?;
    match fcntl_lock(&opened, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(false),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(true),
        Err(error) => Err(failed(file, error.into())),
    }
}

/// True if a server is using this data directory but nobody has this SQLite file open, because the server has a
/// different, deleted or replaced file open. Also false if this user may not open the file to find out.
pub(crate) fn is_replaced(directory: &Path, file: &Path) -> Result<bool, DirectoryError> {
    // A starting server locks the directory first.
    for _ in 0..5 {
        if !is_locked(directory)? || is_open(file).unwrap_or(true) {
            return Ok(false);
        }
        sleep(Duration::from_millis(100));
    }
    Ok(true)
}

/// Reads a sealing key. Returns `None` if the file does not exist.
pub fn read_sealing_key(path: &Path) -> Result<Option<SealingKey>, DirectoryError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, error)),
    };
    let key = std::str::from_utf8(&bytes).ok().and_then(SealingKey::parse);
    key.map(Some).ok_or_else(|| DirectoryError::NotASealingKey(path.display().to_string()))
}

/// Writes a private file (0600) completely or not at all, and durably.
pub fn write_private(path: &Path, text: &str) -> Result<(), DirectoryError> {
    let temporary = path.with_extension("new");
    let write = || -> io::Result<()> {
        // A file left over from a killed process may have another mode.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|error| failed(path, error))
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), DirectoryError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(|error| failed(path, error))
}

pub(crate) fn failed(path: &Path, error: io::Error) -> DirectoryError {
    DirectoryError::Io { path: path.display().to_string(), error }
}
