//! The file of SQLite that is open, and whether its path still leads to it.
//!
//! A file that was deleted can be written as long as it is open; what is written into it is lost.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign_protocol::refusal::DatabaseTrouble;

use crate::error::StoreError;

/// A file by its device and inode, as of the moment at which it was opened.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    inode: (u64, u64),
    is_lost: AtomicBool,
}

impl OpenFile {
    pub(super) fn find(path: PathBuf) -> Result<Self, StoreError> {
        let metadata = fs::metadata(&path);
        let metadata = metadata
            .map_err(|error| StoreError::Unavailable(DatabaseTrouble::Lost, format!("{}: {error}", path.display())))?;
        Ok(Self { inode: inode_of(&metadata), path, is_lost: AtomicBool::new(false) })
    }

    /// Err if the path leads to another file, or to none.
    pub(super) fn check(&self) -> io::Result<()> {
        if inode_of(&fs::metadata(&self.path)?) == self.inode {
            return Ok(());
        }
        Err(io::Error::other("another file is in its place"))
    }

    /// Looks whether the path still leads to the file; returns why not if that is new, or Ok if it does so again.
    pub(super) fn look(&self) -> Option<Result<(), String>> {
        let checked = self.check();
        let was_lost = self.is_lost.swap(checked.is_err(), Ordering::AcqRel);
        (was_lost != checked.is_err()).then(|| checked.map_err(|error| format!("{}: {error}", self.path.display())))
    }

    /// True while the path does not lead to the file, as [`OpenFile::look`] last saw.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    /// Err if what is written would be lost with the file.
    pub(super) fn check_writable(&self) -> Result<(), StoreError> {
        self.check().map_err(|error| {
            StoreError::Unavailable(DatabaseTrouble::Replaced, format!("{}: {error}", self.path.display()))
        })
    }
}

fn inode_of(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
