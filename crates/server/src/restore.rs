//! A restore: the database, the sealing key and the operator's file of a backup, and the end of all that was issued.
//!
//! What happened since the backup is not known: a token that was revoked meanwhile would live again. So every token,
//! refresh token, session and signing key of before ends.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use countersign_protocol::jose::algorithm::Algorithm;
use countersign_store::{DatabaseUrl, KeyState, SEALING_KEY_CHECK, SQLITE_FILE, Store, StoreError};
use serde_json::json;

use crate::admin::change::{Author, Changing, Entry};
use crate::admin::problem::Problem;
use crate::backup::{CREDENTIALS, Engine, MANIFEST, Manifest, copy_private};
use crate::clock::{Clock, Entropy};
use crate::config::{Config, ConfigError};
use crate::data_directory::{
    DataDirectory, DirectoryError, SEALING_KEY_FILE, check_private, failed, read_sealing_key, sync_directory,
    write_private,
};
use crate::identity::{IdentityError, Memory, new_id, remember};
use crate::key_ring::{KeyRingError, make_key};
use crate::registry::LiveRegistry;
use crate::sealing::SealingKey;
use crate::sealing_keys::{HeldKey, HeldKeys};
use crate::state::State;

/// What was in the way is kept under its name and this.
const KEPT: &str = ".before-restore";
/// What is being restored, until it is complete.
const UNDER_WAY: &str = ".restoring";

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is no backup in that directory.
    #[error("{0}: is no backup: there is no {MANIFEST} in it that this version reads")]
    NoBackup(String),
    /// The backup is of another engine.
    #[error("the backup is of {backup:?}, and database.url names {configured:?}; name the same engine")]
    OtherEngine {
        /// The backup's.
        backup: Engine,
        /// The configured one.
        configured: Engine,
    },
    /// The backup lies where it would be restored to.
    #[error("{0}: the data directory is this backup, or lies in it; name another by --data-dir")]
    IntoItself(String),
    /// The sealing key in the backup is not the database's.
    #[error("{0}: this is not the sealing key of the database; restore both from one backup")]
    SealingKeyWrong(String),
    /// The database in the backup is damaged, or is another program's.
    #[error("{0}: the database in the backup cannot be read: {1}")]
    DamagedBackup(String, String),
    /// PostgreSQL's own tools have not restored anything yet.
    #[error("the database is none of ours yet ({0}); restore the dump into it first, by pg_restore")]
    NoDatabase(String),
    /// The configuration names a file with another sealing key, or none.
    #[error("{0}: holds another sealing key than the backup, or none: copy {1} there first")]
    OtherKeyFile(String, String),
    /// Something is there already.
    #[error("{0}: is there already; --replace keeps it beside as {0}{KEPT}")]
    Occupied(String),
    /// An earlier restore has kept something there.
    #[error("{0}: is what an earlier restore kept; move it away first")]
    KeptBefore(String),
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// It is not known which database the directory was used with.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A key of the configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A signing key cannot be made or used.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// The change was refused.
    #[error("restore: {0}")]
    Problem(#[from] Problem),
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// The change that ended everything.
    pub change: i64,
    /// What was there before, under its new name.
    pub kept: Vec<PathBuf>,
}

/// Restores a backup into the configured data directory, which it locks: no server serves from it meanwhile.
pub async fn restore(
    config: &Config,
    from: &Path,
    replace: bool,
    clock: Clock,
    entropy: Entropy,
) -> Result<Restored, RestoreError> {
    let no_backup = || RestoreError::NoBackup(from.display().to_string());
    let manifest = Manifest::read(from).ok_or_else(no_backup)?;
    let path = from.join(SEALING_KEY_FILE);
    let key = BackupKey { key: read_sealing_key(&path)?.ok_or_else(no_backup)?, path };
    let database = config.database()?;
    let configured = Engine::of(&database);
    if manifest.database != configured {
        return Err(RestoreError::OtherEngine { backup: manifest.database, configured });
    }
    check_key_file(config, &key)?;
    if lies_in(&config.data_dir, from) {
        return Err(RestoreError::IntoItself(from.display().to_string()));
    }
    let places = Places::of(config, &database);
    places.check_free(replace)?;
    check_private(config)?;
    // Now it is ours: a server that serves from it is in the way.
    let directory = DataDirectory::open(&config.data_dir)?;
    let database = match &places.database {
        Some(place) => {
            let copy = beside(place, UNDER_WAY);
            copy_database(&from.join(SQLITE_FILE), &copy)?;
            DatabaseUrl::sqlite_at(&copy)?
        }
        None => database,
    };
    let ended = end_everything(config, &directory, &database, &key, clock, entropy).await;
    let (change, database_id) = match ended {
        Ok(ended) => ended,
        Err(error) => {
            places.forget_copy();
            return Err(error);
        }
    };
    let kept = places.keep_what_was_there()?;
    places.put_database()?;
    if config.sealing_key_file.is_none() {
        write_private(&directory.file(SEALING_KEY_FILE), &key.key.to_text())?;
    }
    for name in CREDENTIALS {
        copy_private(&from.join(name), &directory.file(name))?;
    }
    remember(&directory, database_id)?;
    sync_directory(&config.data_dir)?;
    Ok(Restored { manifest, change, kept })
}

/// The sealing key in a backup.
struct BackupKey {
    key: SealingKey,
    path: PathBuf,
}

/// True if the path, or what there is of it, lies in the directory or is it.
fn lies_in(path: &Path, directory: &Path) -> bool {
    let whole = std::path::absolute(path).unwrap_or_default();
    let there = whole.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    there.zip(directory.canonicalize().ok()).is_some_and(|(there, directory)| there.starts_with(directory))
}

/// A sealing key that is kept elsewhere must be the backup's already: no other directory is written to.
fn check_key_file(config: &Config, key: &BackupKey) -> Result<(), RestoreError> {
    let Some(path) = &config.sealing_key_file else {
        return Ok(());
    };
    match read_sealing_key(path)? {
        Some(there) if there.check() == key.key.check() => Ok(()),
        _ => Err(RestoreError::OtherKeyFile(path.display().to_string(), key.path.display().to_string())),
    }
}

/// Ends all that was issued, by one audited change; returns its number, and the id of the database from then on.
async fn end_everything(
    config: &Config,
    directory: &DataDirectory,
    database: &DatabaseUrl,
    key: &BackupKey,
    clock: Clock,
    entropy: Entropy,
) -> Result<(i64, String), RestoreError> {
    // Of PostgreSQL this is what its own tools have restored: what is no database of ours is not made one.
    let read = Store::open_read_only(database, true).await?;
    let known = read.find_setting(SEALING_KEY_CHECK).await;
    read.close().await;
    let known = known.map_err(|error| match error {
        StoreError::Refused(reason) if database.sqlite_file().is_none() => RestoreError::NoDatabase(reason),
        StoreError::Refused(reason) => {
            RestoreError::DamagedBackup(key.path.with_file_name(SQLITE_FILE).display().to_string(), reason)
        }
        other => other.into(),
    });
    if known?.as_deref() != Some(key.key.check().as_str()) {
        return Err(RestoreError::SealingKeyWrong(key.path.display().to_string()));
    }
    let store = Store::open(database).await?;
    let issuer = config.issuer_for(config.listen)?;
    let held = HeldKeys { in_use: HeldKey::new(key.path.clone(), key.key.clone()), other: None };
    let registry = LiveRegistry::new(held, config.registry.max_age_s, clock.clone());
    let state = State::new(issuer, store, registry, clock, entropy);
    state.follow().await?;
    let ended = end_by_one_change(&state, directory).await;
    state.store.close().await;
    ended
}

async fn end_by_one_change(state: &State, directory: &DataDirectory) -> Result<(i64, String), RestoreError> {
    let registry = state.registry.current().clone();
    let is_used = |algorithm: &Algorithm| {
        registry.missing_keys().contains(algorithm)
            || registry.keys().lives().iter().any(|key| key.algorithm == *algorithm)
    };
    // Made before the transaction, for that takes a while.
    let mut keys = Vec::new();
    for algorithm in Algorithm::ALL.into_iter().filter(is_used) {
        keys.push(make_key(algorithm).await?);
    }
    let (id, is_new_id) = settle_id(state, directory).await?;
    let mut changing = Changing::begin(state, Author::server()).await?;
    let before = json!({ "change": changing.change.number() - 1 });
    changing.change.end_everything().await?;
    if is_new_id {
        changing.change.renew_database_id(&id).await?;
    }
    for key in &keys {
        key.insert(state, &mut changing.change, KeyState::Active).await?;
    }
    let number = changing.change.number();
    let after = json!({ "change": number, "keys": keys.iter().map(|key| &key.id).collect::<Vec<_>>() });
    let target = "database".to_owned();
    changing.finish(Entry { action: "restore", target, before: Some(before), after: Some(after) }).await?;
    Ok((number, id))
}

/// The id of the restored database, and whether it is a new one. It stays where the directory remembers it, so that the other
/// nodes of this database go on with it. Anywhere else it is a copy: a drill must not be taken for production.
async fn settle_id(state: &State, directory: &DataDirectory) -> Result<(String, bool), RestoreError> {
    if let Some(Memory::DatabaseId(remembered)) = Memory::read(directory.path())?
        && state.store.find_database_id().await?.as_ref() == Some(&remembered)
    {
        return Ok((remembered, false));
    }
    // Whichever database is there when this is cut off, the sealing key tells whether it is the right one.
    Memory::forget(directory)?;
    Ok((new_id(&state.entropy), true))
}

/// What a restore writes, and what may be in its way.
struct Places {
    /// The file of SQLite.
    database: Option<PathBuf>,
    /// Everything that would be overwritten, the database first.
    all: Vec<PathBuf>,
}

impl Places {
    fn of(config: &Config, database: &DatabaseUrl) -> Self {
        let database = database.sqlite_file();
        let in_directory = |name: &str| config.data_dir.join(name);
        let own_key = config.sealing_key_file.is_none().then(|| in_directory(SEALING_KEY_FILE));
        let logs = database.iter().flat_map(|file| [beside(file, "-wal"), beside(file, "-shm")]);
        let all = database.iter().cloned().chain(own_key).chain(CREDENTIALS.map(in_directory)).chain(logs);
        Self { all: all.collect(), database }
    }

    /// Err if something is there and may not be replaced, or if its new name is taken.
    fn check_free(&self, replace: bool) -> Result<(), RestoreError> {
        let there = || self.all.iter().filter(|path| path.exists());
        if let Some(path) = there().next().filter(|_| !replace) {
            return Err(RestoreError::Occupied(path.display().to_string()));
        }
        match there().map(|path| self.kept(path)).find(|kept| kept.exists()) {
            Some(kept) => Err(RestoreError::KeptBefore(kept.display().to_string())),
            None => Ok(()),
        }
    }

    /// The new name of what was there. SQLite knows its log by the name of its database.
    fn kept(&self, path: &Path) -> PathBuf {
        for (file, end) in self.database.iter().flat_map(|file| [(file, "-wal"), (file, "-shm")]) {
            if path == beside(file, end) {
                return beside(&beside(file, KEPT), end);
            }
        }
        beside(path, KEPT)
    }

    fn keep_what_was_there(&self) -> Result<Vec<PathBuf>, DirectoryError> {
        let mut kept = Vec::new();
        for path in self.all.iter().filter(|path| path.exists()) {
            let name = self.kept(path);
            fs::rename(path, &name).map_err(|error| failed(path, error))?;
            kept.push(name);
        }
        Ok(kept)
    }

    fn put_database(&self) -> Result<(), DirectoryError> {
        let Some(place) = &self.database else {
            return Ok(());
        };
        let copy = beside(place, UNDER_WAY);
        if beside(&copy, "-wal").exists() {
            return Err(failed(&copy, io::Error::other("its log was not folded in")));
        }
        fs::rename(&copy, place).map_err(|error| failed(place, error))
    }

    fn forget_copy(&self) {
        for copy in self.database.iter().map(|place| beside(place, UNDER_WAY)) {
            for end in ["", "-wal", "-shm"] {
                // What is not there need not go.
                let _ = fs::remove_file(beside(&copy, end));
            }
        }
    }
}

/// Copies the backup's database privately. One left over by a restore that was cut off is no use to anybody.
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
