//! Which database a data directory is used with.
//!
//! The directory remembers the id of its database, so that a start takes neither an empty database nor another one for it.
//! A first start notes its sealing key before it makes anything: only a database that it did not finish may be empty.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use countersign_protocol::jose::base64url;
use countersign_store::{DatabaseUrl, SEALING_KEY_CHECK, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::clock::Entropy;
use crate::operations::data_directory::{DataDirectory, DirectoryError, failed, write_private};

/// The file in the data directory that says which database it is used with.
pub(crate) const FILE: &str = "database.json";

/// Why a database is not this data directory's.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is no database, or an empty one, where there was one.
    #[error(
        "{database}: {missing}, but {used}; put the database back, restore a backup with `countersign restore`, or \
         start \
         with an empty database: countersign serve --new-database"
    )]
    Lost {
        /// Where the database should be.
        database: String,
        /// What is there instead.
        missing: &'static str,
        /// Why there should be one.
        used: Used,
    },
    /// The directory was used with another database.
    #[error(
        "{database}: belongs to another data directory; set database.url to this directory's database, choose \
         another --data-dir, or delete {file} if the database is the right one"
    )]
    Other {
        /// Where the database is.
        database: String,
        /// The file that remembers the other one.
        file: String,
    },
    /// The file that remembers the database holds something else.
    #[error("{0}: is damaged; delete it if the database is the right one")]
    Damaged(String),
    /// That file cannot be read or written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// Why a database is missed.
#[derive(Debug, thiserror::Error)]
pub enum Used {
    /// The directory remembers one.
    #[error("this data directory was used with a database")]
    Directory,
    /// There is a sealing key, which only a database needs.
    #[error("a sealing key already exists, {0}")]
    SealingKey(String),
}

/// What a data directory remembers.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Memory {
    /// A first start is under way, with the sealing key of this check.
    FirstStart(String),
    /// It is used with the database of this id.
    DatabaseId(String),
}

impl Memory {
    /// Reads what the directory remembers; `None` if it was not used yet, or only by a version that remembers nothing.
    pub(crate) fn read(directory: &Path) -> Result<Option<Self>, IdentityError> {
        let path = directory.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, error).into()),
        };
        let memory = serde_json::from_slice(&text);
        memory.map(Some).map_err(|_| IdentityError::Damaged(path.display().to_string()))
    }

    /// Writes it durably, instead of what the directory remembered before.
    pub fn write(&self, directory: &DataDirectory) -> Result<(), DirectoryError> {
        // Texts always serialise.
        let text = serde_json::to_string(self).unwrap_or_default() + "\n";
        write_private(&directory.file(FILE), &text)
    }

    /// Makes the directory one that was not used yet.
    pub(crate) fn forget(directory: &DataDirectory) -> Result<(), DirectoryError> {
        let path = directory.file(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(&path, error)),
            _ => Ok(()),
        }
    }
}

/// What a database says of itself before anything in it is changed.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Its id.
    pub(crate) id: Option<String>,
    /// Which sealing key it belongs to; `None` if nothing was ever made in it.
    pub(crate) key_check: Option<String>,
}

impl Found {
    /// Reads it, and changes nothing: it may be somebody else's.
    pub(crate) async fn read(database: &DatabaseUrl) -> Result<Self, StoreError> {
        let Some(store) = Store::open_unless_empty(database).await? else {
            return Ok(Self::default());
        };
        let found =
            Self { id: store.find_database_id().await?, key_check: store.find_setting(SEALING_KEY_CHECK).await? };
        store.close().await;
        Ok(found)
    }
}

/// Err if the directory remembers another database than the one of this id.
pub(crate) fn check_same(
    memory: Option<&Memory>,
    id: Option<&str>,
    database: &DatabaseUrl,
    directory: &Path,
) -> Result<(), IdentityError> {
    match memory {
        Some(Memory::DatabaseId(remembered)) if id != Some(remembered) => Err(IdentityError::Other {
            database: database.to_string(),
            file: directory.join(FILE).display().to_string(),
        }),
        _ => Ok(()),
    }
}

/// The error for an empty database where there should be one with something in it.
pub(crate) fn lost(memory: Option<&Memory>, database: &DatabaseUrl, key: &Path) -> IdentityError {
    let has_file = database.sqlite_file().is_none_or(|file| file.exists());
    IdentityError::Lost {
        database: database.to_string(),
        missing: if has_file { "is empty" } else { "there is no such file" },
        used: match memory {
            Some(Memory::DatabaseId(_)) => Used::Directory,
            _ => Used::SealingKey(key.display().to_string()),
        },
    }
}

/// Lets the directory remember the database, when all that a first start makes is made.
pub(crate) fn remember(directory: &DataDirectory, id: String) -> Result<(), IdentityError> {
    let memory = Memory::DatabaseId(id);
    if Memory::read(directory.path())?.as_ref() != Some(&memory) {
        memory.write(directory)?;
    }
    Ok(())
}

/// A new id: 128 random bits.
pub(crate) fn new_id(entropy: &Entropy) -> String {
    base64url(&entropy.bytes::<16>())
}
