//! Restores the database, the sealing key and the operator's file from a backup, and revokes everything issued.
//!
//! What happened after the backup is unknown. Otherwise, a token that was revoked since would become valid again. Every
//! earlier token, refresh token, session and signing key is therefore revoked.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::refusal::DatabaseTrouble;
use countersign_store::{DatabaseUrl, KeyState, MOVED_TO, SEALING_KEY_CHECK, SQLITE_FILE, Store, StoreError};
use serde::de::DeserializeOwned;
use serde_json::json;
use zeroize::Zeroizing;

use crate::admin::audit::Entry;
use crate::admin::change::{Author, Changing};
use crate::admin::operator::{self, OperatorFile};
use crate::clock::{Clock, Entropy};
use crate::config::Config;
use crate::config::SEALING_KEY_FILE;
use crate::keys::new_key::make_key;
use crate::keys::sealing::SealingKey;
use crate::keys::sealing_files::{HeldKey, HeldKeys};
use crate::operations::backup::{CREDENTIALS, Engine, Manifest, copy_private};
use crate::operations::data_directory::{
    DataDirectory, DirectoryError, check_private, failed, is_locked, read_sealing_key, sync_directory, write_private,
};
use crate::operations::demo_file::{self, DemoFile};
use crate::operations::identity::{Memory, new_id, remember};
use crate::operations::nodes::find_living;
use crate::operations::restore_error::RestoreError;
use crate::operations::restore_places::Places;
use crate::registry::live::LiveRegistry;
use crate::state::State;

/// The result of a restore.
#[derive(Debug)]
pub struct Restored {
    /// The description of the backup.
    pub manifest: Manifest,
    /// The change that revoked everything.
    pub change: i64,
    /// The previous files, under their new names.
    pub kept: Vec<PathBuf>,
}

/// Reads the description of a backup.
pub fn read_manifest(from: &Path) -> Result<Manifest, RestoreError> {
    Manifest::read(from).ok_or_else(|| RestoreError::NoBackup(from.display().to_string()))
}

/// A restore that was fully checked, and has changed nothing yet.
#[derive(Debug)]
pub struct Plan<'a> {
    config: &'a Config,
    from: &'a Path,
    key: BackupKey,
    places: Places,
    /// The description of the backup.
    pub manifest: Manifest,
    /// The database to restore or, for PostgreSQL, the database in which everything issued is revoked.
    pub database: DatabaseUrl,
    /// True if the database has changed since the backup, and is not just the restored dump.
    pub is_newer: bool,
}

/// Checks whether a backup can be restored to the configured data directory and database.
pub async fn plan<'a>(
    config: &'a Config,
    from: &'a Path,
    manifest: Manifest,
    replace: bool,
) -> Result<Plan<'a>, RestoreError> {
    let path = from.join(SEALING_KEY_FILE);
    let Some(key) = read_sealing_key(&path)? else {
        return Err(RestoreError::NoKey(path.display().to_string()));
    };
    let key = BackupKey { key, path };
    let database = config.database()?;
    let configured = Engine::of(&database);
    if manifest.database != configured {
        return Err(RestoreError::OtherEngine { backup: manifest.database, configured });
    }
    check_key_file(config, &key)?;
    check_credentials::<OperatorFile>(&from.join(operator::FILE), "--new-operator")?;
    check_credentials::<DemoFile>(&from.join(demo_file::FILE), "--demo")?;
    if lies_in(&config.data_dir, from) {
        return Err(RestoreError::IntoItself(from.display().to_string()));
    }
    let places = Places::of(config, &database);
    places.check_free(replace)?;
    check_private(config)?;
    if is_locked(&config.data_dir)? {
        return Err(DirectoryError::Locked(config.data_dir.display().to_string()).into());
    }
    places.check_closed()?;
    let change = check_database(&database, from, &key).await?;
    let is_newer = change > manifest.change;
    Ok(Plan { config, from, key, places, manifest, database, is_newer })
}

impl Plan<'_> {
    /// Restores the backup. The data directory is locked during this.
    pub async fn carry_out(self, clock: Clock, entropy: Entropy) -> Result<Restored, RestoreError> {
        let Self { config, from, key, places, manifest, database, .. } = self;
        let directory = DataDirectory::open(&config.data_dir)?;
        let copied = places.copy_database(from).inspect_err(|_| places.forget_copy());
        let database = copied?.unwrap_or(database);
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
}

/// Reads the sealing key in a backup.
#[derive(Debug)]
struct BackupKey {
    key: SealingKey,
    path: PathBuf,
}

/// True if the path, or its existing part, is the directory or is inside it.
fn lies_in(path: &Path, directory: &Path) -> bool {
    let whole = std::path::absolute(path).unwrap_or_default();
    let there = whole.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    there.zip(directory.canonicalize().ok()).is_some_and(|(there, directory)| there.starts_with(directory))
}

/// Checks a sealing key outside the data directory, which must already be the backup's, because nothing is written to
/// other directories.
fn check_key_file(config: &Config, key: &BackupKey) -> Result<(), RestoreError> {
    let Some(path) = &config.sealing_key_file else {
        return Ok(());
    };
    match read_sealing_key(path)? {
        Some(there) if there.check() == key.key.check() => Ok(()),
        _ => Err(RestoreError::OtherKeyFile(path.display().to_string(), key.path.display().to_string())),
    }
}

/// Fails if a file with credentials exists and cannot be read, because the start after the restore would fail.
fn check_credentials<T: DeserializeOwned>(file: &Path, flag: &'static str) -> Result<(), RestoreError> {
    let text = match std::fs::read(file) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(file, error).into()),
    };
    match serde_json::from_slice::<T>(&text) {
        Ok(_) => Ok(()),
        Err(_) => Err(RestoreError::DamagedCredentials(file.display().to_string(), flag)),
    }
}

/// Fails if the database is not the backup's, is damaged, or is in use. Returns its last change. For PostgreSQL, this
/// is the database that was restored from a dump. A database without Countersign's tables is never initialized here.
async fn check_database(database: &DatabaseUrl, from: &Path, key: &BackupKey) -> Result<i64, RestoreError> {
    let file = database.sqlite_file().map(|_| from.join(SQLITE_FILE));
    let read_from = match &file {
        Some(file) => {
            File::open(file).map_err(|error| failed(file, error))?;
            DatabaseUrl::sqlite_at(file)?
        }
        None => database.clone(),
    };
    let shown = read_from.to_string();
    let opened = Store::open_read_only(&read_from, false).await;
    let read = opened.map_err(|error| RestoreError::Database(shown.clone(), error))?;
    let checked = check_content(&read, &read_from, key).await;
    read.close().await;
    checked.map_err(|error| match error {
        RestoreError::Store(StoreError::Refused(reason)) if file.is_none() => {
            RestoreError::NoDatabase { database: shown, reason }
        }
        RestoreError::Store(
            StoreError::Refused(reason) | StoreError::Unavailable(DatabaseTrouble::Damaged, reason),
        ) => RestoreError::DamagedBackup(shown, reason),
        RestoreError::Store(error) => RestoreError::Database(shown, error),
        other => other,
    })
}

async fn check_content(read: &Store, database: &DatabaseUrl, key: &BackupKey) -> Result<i64, RestoreError> {
    read.check_integrity().await?;
    if read.find_setting(SEALING_KEY_CHECK).await?.as_deref() != Some(key.key.check().as_str()) {
        return Err(RestoreError::SealingKeyWrong {
            key: key.path.display().to_string(),
            database: database.to_string(),
        });
    }
    read.check_migrations().await?;
    check_no_node(read, database).await?;
    Ok(read.read_counters().await?.change)
}

/// Fails while a node is using the database.
async fn check_no_node(store: &Store, database: &DatabaseUrl) -> Result<(), RestoreError> {
    match find_living(store).await? {
        Some(node) => Err(RestoreError::Alive { database: database.to_string(), node: node.id }),
        None => Ok(()),
    }
}

/// Revokes everything issued in one audited change. Returns its number, and the ID of the database from then on.
async fn end_everything(
    config: &Config,
    directory: &DataDirectory,
    database: &DatabaseUrl,
    key: &BackupKey,
    clock: Clock,
    entropy: Entropy,
) -> Result<(i64, String), RestoreError> {
    let opened = Store::open(database).await;
    let store = opened.map_err(|error| RestoreError::Database(database.to_string(), error))?;
    let issuer = config.issuer_for(config.listen)?;
    let held = HeldKeys { in_use: HeldKey::new(key.path.clone(), key.key.clone()), other: None };
    let registry = LiveRegistry::new(held, config.registry.max_age_s, clock.clone());
    let state = State::new(issuer, store, registry, clock, entropy);
    state.follow().await?;
    let ended = end_by_one_change(&state, directory, database).await;
    state.store.close().await;
    ended
}

async fn end_by_one_change(
    state: &State,
    directory: &DataDirectory,
    database: &DatabaseUrl,
) -> Result<(i64, String), RestoreError> {
    let registry = state.registry.current().clone();
    let is_used = |algorithm: &Algorithm| {
        registry.missing_keys().contains(algorithm)
            || registry.keys().lives().iter().any(|key| key.algorithm == *algorithm)
    };
    // Created before the transaction, because this takes a while.
    let mut keys = Vec::new();
    for algorithm in Algorithm::ALL.into_iter().filter(is_used) {
        keys.push(make_key(algorithm).await?);
    }
    let (id, is_new_id) = settle_id(state, directory).await?;
    let mut changing = Changing::begin(state, Author::server()).await?;
    // A node may have started since the first check.
    check_no_node(&state.store, database).await?;
    let before = json!({ "change": changing.change.number() - 1 });
    changing.change.end_everything().await?;
    if is_new_id {
        changing.change.renew_database_id(&id).await?;
    }
    for key in &keys {
        key.insert(state, &mut changing.change, KeyState::Active).await?;
    }
    changing.change.delete_setting(MOVED_TO).await?;
    let number = changing.change.number();
    let after = json!({ "change": number, "keys": keys.iter().map(|key| &key.id).collect::<Vec<_>>() });
    let target = "database".to_owned();
    changing.finish(Entry { action: "restore", target, before: Some(before), after: Some(after) }).await?;
    Ok((number, id))
}

/// Returns the ID of the restored database, and whether it is new. It stays the same if the directory already belongs
/// to the database, so that its other nodes can continue. Anywhere else, the database is a copy and gets a new ID, so
/// that a drill cannot be confused with production.
async fn settle_id(state: &State, directory: &DataDirectory) -> Result<(String, bool), RestoreError> {
    if let Some(Memory::DatabaseId(remembered)) = Memory::read(directory.path())?
        && state.store.find_database_id().await?.as_ref() == Some(&remembered)
    {
        return Ok((remembered, false));
    }
    // If this is interrupted, the sealing key identifies the right database.
    Memory::forget(directory)?;
    Ok((new_id(&state.entropy), true))
}
