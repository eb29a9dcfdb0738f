//! Which database a data directory belongs to.
//!
//! The directory stores the ID of its database, so that a start accepts neither an empty database nor another one. A
//! first start records its sealing key before it creates anything. Only a database that such a start did not finish may
//! be empty.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use countersign_protocol::jose::base64url;
use countersign_store::{DatabaseUrl, SEALING_KEY_CHECK, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::clock::Entropy;
use crate::operations::data_directory::{DataDirectory, DirectoryError, failed, write_private};

/// The file in the data directory that identifies its database.
pub(crate) const FILE: &str = "database.json";

/// Why a database cannot be used with this data directory.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The database is missing or empty, although the directory was used with one.
    #[error(
        "{database}: {missing}, but {used}; put the database back, restore a backup with `countersign restore`, or \
         start \
         with an empty database: countersign serve --new-database"
    )]
    Lost {
        /// The expected location of the database.
        database: String,
        /// What was found instead.
        missing: &'static str,
        /// Why a database is expected.
        used: Used,
    },
    /// The directory belongs to another database.
    #[error(
        "{database}: belongs to another data directory; set database.url to this directory's database, choose \
         another --data-dir, or delete {file} if the database is the right one"
    )]
    Other {
        /// The location of the database.
        database: String,
        /// The file that identifies the other database.
        file: String,
    },
    /// The file that identifies the database contains something else.
    #[error("{0}: is damaged; delete it if the database is the right one")]
    Damaged(String),
    /// That file cannot be read or written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// Why a database is expected.
#[derive(Debug, thiserror::Error)]
pub enum Used {
    /// The directory has stored the ID of one.
    #[error("this data directory was used with a database")]
    Directory,
    /// There is a sealing key, which is only needed with a database.
    #[error("a sealing key already exists, {0}")]
    SealingKey(String),
}

/// What a data directory has stored.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Memory {
    /// A first start has begun, with a sealing key with this fingerprint.
    FirstStart(String),
    /// The directory belongs to the database with this ID.
    DatabaseId(String),
}

impl Memory {
    /// Reads what the directory has stored. Returns `None` if it is new, or was only used by a version that stores
    /// nothing.
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

    /// Stores it durably, and replaces what was stored before.
    pub fn write(&self, directory: &DataDirectory) -> Result<(), DirectoryError> {
        // Serializing strings cannot fail.
        let text = serde_json::to_string(self).unwrap_or_default() + "\n";
        write_private(&directory.file(FILE), &text)
    }

    /// Marks the directory as new.
    pub(crate) fn forget(directory: &DataDirectory) -> Result<(), DirectoryError> {
        let path = directory.file(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(&path, error)),
            _ => Ok(()),
        }
    }
}

/// How a database identifies itself before anything in it is changed.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Its ID.
    pub(crate) id: Option<String>,
    /// The fingerprint of its sealing key, or `None` if nothing was ever created in it.
    pub(crate) key_check: Option<String>,
}

impl Found {
    /// Reads it without changing anything, because the database may belong to someone else.
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

/// Fails if the directory belongs to another database than the one with this ID.
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

/// Returns the error for an empty database that should not be empty.
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

/// Stores the database's ID in the directory, once a first start has created everything.
pub(crate) fn remember(directory: &DataDirectory, id: String) -> Result<(), IdentityError> {
    let memory = Memory::DatabaseId(id);
    if Memory::read(directory.path())?.as_ref() != Some(&memory) {
        memory.write(directory)?;
    }
    Ok(())
}

/// Creates a new ID from 128 random bits.
pub(crate) fn new_id(entropy: &Entropy) -> String {
    base64url(&entropy.bytes::<16>())
}
