//! The files of sealing keys: that of the key in use, and that of the one which is to follow it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::clock::Entropy;
use crate::config::Config;
use crate::keys::sealing::SealingKey;
use crate::operations::data_directory::{DirectoryError, failed, read_sealing_key, sync_directory};

/// A sealing key that this node holds.
#[derive(Clone, Debug)]
pub(crate) struct HeldKey {
    /// Its file.
    pub(crate) path: PathBuf,
    /// The key.
    pub key: SealingKey,
    /// By which a database knows it.
    pub check: String,
}

impl HeldKey {
    /// A key that was read from a file.
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
    /// The key of `sealing_key_file`, or of the data directory.
    pub(crate) present: Option<HeldKey>,
    /// The key of `sealing_key_next_file`, or of a rotation in the data directory that was cut off.
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

    /// Both, if one of them is the one that a database knows by this.
    pub(crate) fn hold(self, check: &str) -> Option<HeldKeys> {
        let (in_use, other) = match (self.present, self.next) {
            (Some(present), next) if present.check == check => (present, next),
            (other, next) => (next.filter(|next| next.check == check)?, other),
        };
        Some(HeldKeys { other: other.filter(|other| other.check != check), in_use })
    }
}

/// One in the data directory is nobody's who has not begun a rotation.
fn of_next(config: &Config) -> impl Fn(DirectoryError) -> DirectoryError {
    let is_own = config.sealing_key_next_file.is_none();
    move |error| match error {
        DirectoryError::NotASealingKey(path) if is_own => DirectoryError::NotANextSealingKey(path),
        other => other,
    }
}

/// The sealing keys that a node holds.
#[derive(Clone, Debug)]
pub(crate) struct HeldKeys {
    /// The one that was in use when it started.
    pub(crate) in_use: HeldKey,
    /// The one that follows it, or that it followed.
    pub(crate) other: Option<HeldKey>,
}

impl HeldKeys {
    /// By which databases know them.
    pub(crate) fn checks(&self) -> Vec<&str> {
        std::iter::once(&self.in_use).chain(&self.other).map(|held| held.check.as_str()).collect()
    }

    /// True if a rotation in the data directory was committed, and its files have not got their names yet.
    pub(crate) fn are_to_be_renamed(&self, config: &Config) -> bool {
        config.is_sealing_key_in_directory() && Some(&self.in_use.path) == config.sealing_key_next_path().as_ref()
    }

    /// After a start: gives the files their names. If that cannot be, the server serves all the same.
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

/// Writes a new sealing key into a private file that is not there yet.
pub(crate) fn create(path: &Path, entropy: &Entropy) -> Result<HeldKey, DirectoryError> {
    let key = SealingKey::from_random(entropy.bytes());
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        let written = file.write_all(key.to_text().as_bytes()).and_then(|()| file.sync_all());
        // A part of a key would be in the way of the next try.
        written.inspect_err(|_| drop(fs::remove_file(path)))
    };
    write().map_err(|error| failed(path, error))?;
    sync_directory(directory_of(path))?;
    Ok(HeldKey::new(path.to_owned(), key))
}

/// Makes a file durable that somebody else has written.
pub(crate) fn sync(path: &Path) -> Result<(), DirectoryError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| failed(path, error))?;
    sync_directory(directory_of(path))
}

/// Gives the next key in the data directory the name of the one before, and that another one, which is returned. At every moment
/// both are there under one name or another.
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
