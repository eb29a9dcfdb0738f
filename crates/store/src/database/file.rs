//! The SQLite files that are open, and whether their paths still lead to them.
//!
//! A deleted file can be written while it is open, but the writes are lost with it. The same is true of SQLite's
//! write-ahead log, the file `-wal` next to the database.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use countersign_protocol::refusal::DatabaseTrouble;

use crate::error::StoreError;

/// The open files of a database.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    inode: Inode,
    log_path: PathBuf,
    /// `None` before the first connection.
    log_inode: Mutex<Option<Inode>>,
    is_lost: AtomicBool,
}

/// A device, and a file on it.
type Inode = (u64, u64);

impl OpenFile {
    /// Remembers the file at this path.
    pub(super) fn find(path: PathBuf) -> Result<Self, StoreError> {
        let inode = inode_of(&path)
            .map_err(|error| StoreError::Unavailable(DatabaseTrouble::Lost, format!("{}: {error}", path.display())))?;
        let mut log_path = path.clone().into_os_string();
        log_path.push("-wal");
        let (log_inode, is_lost) = (Mutex::default(), AtomicBool::new(false));
        Ok(Self { path, inode, log_path: log_path.into(), log_inode, is_lost })
    }

    /// Remembers the log that the first connection has opened.
    pub(super) fn note_log(&self) {
        let mut known = self.log_inode.lock().unwrap_or_else(PoisonError::into_inner);
        *known = known.or_else(|| inode_of(&self.log_path).ok());
    }

    /// Fails if a path leads to another file or to none. The error contains the path and the remedy.
    pub(super) fn check(&self) -> io::Result<()> {
        let because = |path: &Path, why: &dyn std::fmt::Display| io::Error::other(format!("{}: {why}", path.display()));
        match inode_of(&self.path) {
            Ok(inode) if inode == self.inode => {}
            Ok(_) => {
                return Err(because(&self.path, &format!("this is no longer the file that was opened; {PUT_BACK}")));
            }
            Err(error) => return Err(because(&self.path, &format!("{error}; {PUT_BACK}"))),
        }
        let mut known = self.log_inode.lock().unwrap_or_else(PoisonError::into_inner);
        match *known {
            Some(inode) if inode_of(&self.log_path).ok() != Some(inode) => {
                if is_open(inode) {
                    return Err(because(&self.log_path, &"was deleted or replaced; restart the server"));
                }
                // SQLite has deleted it after the last connection was closed, and the next one creates another.
                *known = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Checks the paths. Returns the result if it differs from the last one.
    pub(super) fn look(&self) -> Option<Result<(), String>> {
        let checked = self.check();
        let was_lost = self.is_lost.swap(checked.is_err(), Ordering::AcqRel);
        (was_lost != checked.is_err()).then(|| checked.map_err(|error| error.to_string()))
    }

    /// True if the last [`OpenFile::look`] failed.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    /// Fails if a write would be lost.
    pub(super) fn check_writable(&self) -> Result<(), StoreError> {
        self.check().map_err(|error| StoreError::Unavailable(DatabaseTrouble::Replaced, error.to_string()))
    }
}

const PUT_BACK: &str = "put the file back, or stop the server and restore a backup";

fn inode_of(path: &Path) -> io::Result<Inode> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// True if this process has a file open, or if the system does not say.
fn is_open(inode: Inode) -> bool {
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return true };
    open.flatten().any(|file| inode_of(&file.path()).is_ok_and(|found| found == inode))
}
