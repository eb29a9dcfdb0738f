//! The files that a restore writes, first next to the existing files and then in their place.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use countersign_store::{DatabaseUrl, SQLITE_FILE};

use crate::config::Config;
use crate::config::SEALING_KEY_FILE;
use crate::operations::backup::CREDENTIALS;
use crate::operations::data_directory::{DirectoryError, failed, is_open, sync_directory};
use crate::operations::restore_error::KEPT;
use crate::operations::restore_error::RestoreError;

/// The suffix of a file that is being restored.
const UNDER_WAY: &str = ".restoring";

/// The files that a restore writes, and those that may be in its way.
#[derive(Debug)]
pub(super) struct Places {
    /// The SQLite file.
    pub(super) database: Option<PathBuf>,
    /// All files that would be overwritten, the database first.
    all: Vec<PathBuf>,
}

impl Places {
    pub fn of(config: &Config, database: &DatabaseUrl) -> Self {
        let database = database.sqlite_file();
        let in_directory = |name: &str| config.data_dir.join(name);
        let own_key = config.sealing_key_file.is_none().then(|| in_directory(SEALING_KEY_FILE));
        let logs = database.iter().flat_map(|file| [beside(file, "-wal"), beside(file, "-shm")]);
        let all = database.iter().cloned().chain(own_key).chain(CREDENTIALS.map(in_directory)).chain(logs);
        Self { all: all.collect(), database }
    }

    /// Fails if a file exists and must not be replaced, or if its new name is taken.
    pub(super) fn check_free(&self, replace: bool) -> Result<(), RestoreError> {
        let there = || self.all.iter().filter(|path| path.exists());
        if let Some(path) = there().next().filter(|_| !replace) {
            return Err(RestoreError::Occupied(path.display().to_string()));
        }
        match there().map(|path| self.kept(path)).find(|kept| kept.exists()) {
            Some(kept) => Err(RestoreError::KeptBefore(kept.display().to_string())),
            None => Ok(()),
        }
    }

    /// Fails if a program has the file open that would be replaced. Its server may use another data directory.
    pub(super) fn check_closed(&self) -> Result<(), RestoreError> {
        match self.database.as_deref().filter(|file| file.exists()) {
            Some(file) if is_open(file)? => Err(RestoreError::InUse(file.display().to_string())),
            _ => Ok(()),
        }
    }

    /// Copies the backup's database to a file next to its target.
    pub(super) fn copy_database(&self, from: &Path) -> Result<Option<DatabaseUrl>, RestoreError> {
        let Some(place) = &self.database else {
            return Ok(None);
        };
        let copy = beside(place, UNDER_WAY);
        copy_database(&from.join(SQLITE_FILE), &copy)?;
        Ok(Some(DatabaseUrl::sqlite_at(&copy)?))
    }

    /// Returns the new name of an existing file. SQLite finds its log by the name of its database.
    fn kept(&self, path: &Path) -> PathBuf {
        for (file, end) in self.database.iter().flat_map(|file| [(file, "-wal"), (file, "-shm")]) {
            if path == beside(file, end) {
                return beside(&beside(file, KEPT), end);
            }
        }
        beside(path, KEPT)
    }

    pub(super) fn keep_what_was_there(&self) -> Result<Vec<PathBuf>, DirectoryError> {
        let mut kept = Vec::new();
        for path in self.all.iter().filter(|path| path.exists()) {
            let name = self.kept(path);
            fs::rename(path, &name).map_err(|error| failed(path, error))?;
            kept.push(name);
        }
        Ok(kept)
    }

    pub(super) fn put_database(&self) -> Result<(), DirectoryError> {
        let Some(place) = &self.database else {
            return Ok(());
        };
        let copy = beside(place, UNDER_WAY);
        if beside(&copy, "-wal").exists() {
            return Err(failed(&copy, io::Error::other("its write-ahead log was not checkpointed")));
        }
        fs::rename(&copy, place).map_err(|error| failed(place, error))?;
        sync_directory(place.parent().unwrap_or(Path::new("/")))
    }

    pub(super) fn forget_copy(&self) {
        for copy in self.database.iter().map(|place| beside(place, UNDER_WAY)) {
            for end in ["", "-wal", "-shm"] {
                // A missing file need not be moved.
                let _ = fs::remove_file(beside(&copy, end));
            }
        }
    }
}

/// Copies the backup's database privately. A file from an interrupted restore is useless and is replaced.
fn copy_database(from: &Path, to: &Path) -> Result<(), DirectoryError> {
    let mut source = File::open(from).map_err(|error| failed(from, error))?;
    for end in ["", "-wal", "-shm"] {
        let left = beside(to, end);
        match fs::remove_file(&left) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(&left, error)),
            _ => {}
        }
    }
    let mut copy = || {
        let mut file = File::options().create_new(true).write(true).mode(0o600).open(to)?;
        io::copy(&mut source, &mut file)?;
        file.sync_all()
    };
    copy().map_err(|error| failed(to, error))
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
