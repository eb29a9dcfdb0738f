//! The files of the current sealing key and of the next one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::clock::Entropy;
use crate::config::Config;
use crate::keys::sealing::SealingKey;
use crate::operations::data_directory::{DirectoryError, failed, read_sealing_key, sync_directory};

/// A sealing key that this node has.
#[derive(Clone, Debug)]
pub(crate) struct HeldKey {
    /// Its file.
    pub(crate) path: PathBuf,
    /// The key.
    pub key: SealingKey,
    /// Its fingerprint in databases.
    pub check: String,
}

impl HeldKey {
    /// Creates it from a key that was read from a file.
    pub fn new(path: PathBuf, key: SealingKey) -> Self {
        Self { path, check: key.check(), key }
    }

    fn read(path: &Path) -> Result<Option<Self>, DirectoryError> {
        Ok(read_sealing_key(path)?.map(|key| Self::new(path.to_owned(), key)))
    }
}

/// The sealing keys in the files of the configuration.
#[derive(Debug)]
pub(crate) struct KeyFiles {
    /// The key in `sealing_key_file`, or in the data directory.
    pub(crate) present: Option<HeldKey>,
    /// The key in `sealing_key_next_file`, or of an interrupted rotation in the data directory.
    pub(crate) next: Option<HeldKey>,
}

impl KeyFiles {
    /// Reads both.
    pub(crate) fn read(config: &Config) -> Result<Self, DirectoryError> {
        let next = config.sealing_key_next_path().map(|path| HeldKey::read(&path).map_err(of_next(config)));
        let next = next.transpose()?.flatten();
        if let (None, Some(path)) = (&next, &config.sealing_key_next_file) {
            return Err(DirectoryError::NoNextSealingKey(path.display().to_string()));
        }
        Ok(Self { present: HeldKey::read(&config.sealing_key_path())?, next })
    }

    /// Returns both, if one of them has this fingerprint in a database.
    pub(crate) fn hold(self, check: &str) -> Option<HeldKeys> {
        let (in_use, other) = match (self.present, self.next) {
            (Some(present), next) if present.check == check => (present, next),
            (other, next) => (next.filter(|next| next.check == check)?, other),
        };
        Some(HeldKeys { other: other.filter(|other| other.check != check), in_use })
    }
}

/// A file in the data directory only counts if a rotation has begun.
fn of_next(config: &Config) -> impl Fn(DirectoryError) -> DirectoryError {
    let is_own = config.sealing_key_next_file.is_none();
    move |error| match error {
        DirectoryError::NotASealingKey(path) if is_own => DirectoryError::NotANextSealingKey(path),
        other => other,
    }
}

/// The sealing keys of a node.
#[derive(Clone, Debug)]
pub(crate) struct HeldKeys {
    /// The key that was current when it started.
    pub(crate) in_use: HeldKey,
    /// The key that follows or precedes it.
    pub(crate) other: Option<HeldKey>,
}

impl HeldKeys {
    /// Returns their fingerprints.
    pub(crate) fn checks(&self) -> Vec<&str> {
        std::iter::once(&self.in_use).chain(&self.other).map(|held| held.check.as_str()).collect()
    }

    /// True if a rotation in the data directory was committed, but its files were not renamed yet.
    pub(crate) fn are_to_be_renamed(&self, config: &Config) -> bool {
        config.is_sealing_key_in_directory() && Some(&self.in_use.path) == config.sealing_key_next_path().as_ref()
    }

    /// Renames the files after a start. If that fails, the server runs anyway.
    pub(crate) fn named(self, config: &Config) -> Self {
        if !self.are_to_be_renamed(config) {
            return self;
        }
        match put_in_place(config, self.other.as_ref()) {
            Ok(_) => Self { in_use: HeldKey { path: config.sealing_key_path(), ..self.in_use }, ..self },
            Err(error) => {
                let file = self.in_use.path.display();
                tracing::warn!(%error, "the sealing key in {file} is in use, but the file could not be renamed");
                self
            }
        }
    }
}

/// Writes a new sealing key to a private file that does not exist yet.
pub(crate) fn create(path: &Path, entropy: &Entropy) -> Result<HeldKey, DirectoryError> {
    let key = SealingKey::from_random(entropy.bytes());
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        let written = file.write_all(key.to_text().as_bytes()).and_then(|()| file.sync_all());
        // An incomplete key would prevent the next attempt.
        written.inspect_err(|_| drop(fs::remove_file(path)))
    };
    write().map_err(|error| failed(path, error))?;
    sync_directory(directory_of(path))?;
    Ok(HeldKey::new(path.to_owned(), key))
}

/// Makes a file durable that someone else has written.
pub(crate) fn sync(path: &Path) -> Result<(), DirectoryError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| failed(path, error))?;
    sync_directory(directory_of(path))
}

/// Renames the next key in the data directory to the name of the current one, and the current one to another name,
/// which is returned. Both files exist under one name or another at all times.
pub(crate) fn put_in_place(config: &Config, before: Option<&HeldKey>) -> Result<Option<PathBuf>, DirectoryError> {
    let (present, next) = (config.sealing_key_path(), config.sealing_key_next_path().unwrap_or_default());
    let kept = before.map(|before| {
        let mark: String = before.check.chars().take(8).collect();
        present.with_file_name(format!("sealing.key.replaced-{mark}"))
    });
    if let Some(kept) = &kept {
        fs::rename(&present, kept).map_err(|error| failed(&present, error))?;
        sync_directory(&config.data_dir)?;
    }
    fs::rename(&next, &present).map_err(|error| failed(&next, error))?;
    sync_directory(&config.data_dir)?;
    Ok(kept)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
