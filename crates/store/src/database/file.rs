//! The file of SQLite that is open, and whether its path still leads to it.
//!
//! A file that was deleted can be written as long as it is open; what is written into it is lost.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign_protocol::refusal::DatabaseTrouble;

use super::Store;
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
}

impl Store {
    /// Looks whether the path of SQLite's file still leads to the file that is open; returns why not if that is new, or
    /// true if it does so again.
    pub fn look_at_file(&self) -> Option<Result<(), String>> {
        let file = self.file.as_ref()?;
        let checked = file.check();
        let was_lost = file.is_lost.swap(checked.is_err(), Ordering::AcqRel);
        (was_lost != checked.is_err()).then(|| checked.map_err(|error| format!("{}: {error}", file.path.display())))
    }

    /// True while the path of SQLite's file does not lead to the file that is open, as [`Store::look_at_file`] last saw.
    pub fn is_file_lost(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.is_lost.load(Ordering::Acquire))
    }

    /// Err if what is written would be lost with the file.
    pub(super) fn check_file(&self) -> Result<(), StoreError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        file.check().map_err(|error| {
            StoreError::Unavailable(DatabaseTrouble::Replaced, format!("{}: {error}", file.path.display()))
        })
    }
}

fn inode_of(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
