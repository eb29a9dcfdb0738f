//! Rotates the sealing key: seals all secrets again in one change.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use countersign_store::{Change, DatabaseUrl, MOVED_TO, SealedKind, SealedValue, Store, StoreError};
use serde_json::json;

use crate::admin::audit::Entry;
use crate::admin::change::{Author, Changing};
use crate::admin::change_error::ChangeError;
use crate::clock::{Clock, Entropy};
use crate::config::{Config, ConfigError};
use crate::keys::error::KeyRingError;
use crate::keys::ring::SEAL_LABEL;
use crate::keys::sealing::{PLAYGROUND_SECRET, SECOND_FACTOR, SealError, SealingKey};
use crate::keys::sealing_files::{self, HeldKey, HeldKeys, KeyFiles, put_in_place};
use crate::keys::sealing_keys::{MacUse, PREVIOUS_AUDIT, PREVIOUS_MACS, SealingKeys, seal_previous};
use crate::operations::data_directory::{DataDirectory, DirectoryError, check_private, is_open};
use crate::operations::identity::{Found, IdentityError, Memory, check_same};
use crate::operations::nodes::{self, is_alive};
use crate::people::name_mac::NameMac;
use crate::registry::live::LiveRegistry;
use crate::state::State;

/// Why the sealing key was not rotated. Except for [`RotationError::Unknown`], nothing has changed. Only the next key
/// may be in the data directory, where the next call uses it.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The database is empty.
    #[error("the database is empty; choose another with --data-dir, --config or --database-url")]
    Empty,
    /// The database was copied to another one, which is in use now.
    #[error("this database was copied to {0} by `countersign migrate`; rotate the key of that database")]
    Moved(String),
    /// An older version created the database.
    #[error("the database lacks {0} migrations; start a server of this version first")]
    Older(usize),
    /// A server is using the data directory or the database.
    #[error(
        "{0}: a server is using it; stop it first, or, with PostgreSQL, give every server the next key with \
         COUNTERSIGN_SEALING_KEY_NEXT_FILE"
    )]
    Served(String),
    /// Neither file contains the sealing key of the database.
    #[error("{0}: does not match this database; copy the right sealing key here")]
    WrongKey(String),
    /// There is no next key.
    #[error(
        "the sealing key is not a regular file in the data directory; create the next one with \
         `countersign sealing-key create FILE`, and set COUNTERSIGN_SEALING_KEY_NEXT_FILE to it"
    )]
    NoNextKey,
    /// The next key is the current one.
    #[error("{0}: contains the current key; create another with `countersign sealing-key create FILE`")]
    SameKey(String),
    /// The next key was used earlier.
    #[error("{0}: contains a key that was replaced earlier; create another with `countersign sealing-key create FILE`")]
    OldKey(String),
    /// The database already uses the next key.
    #[error("{0}: is already the current key; set sealing_key_file to it, and unset sealing_key_next_file")]
    Done(String),
    /// Live nodes do not have the next key.
    #[error(
        "{0} of the servers on this database do not have the new key; stop them and wait 5 s, or restart each \
         with COUNTERSIGN_SEALING_KEY_NEXT_FILE, then try again"
    )]
    NodesWithout(usize),
    /// A sealed value cannot be opened, or cannot be sealed.
    #[error("{0}: {1}")]
    Sealed(String, SealError),
    /// It is unknown whether the change was committed.
    #[error("{}; the key may have been replaced: keep both files, and try again", .0.for_operator())]
    Unknown(ChangeError),
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory or a key file cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The database belongs to another data directory.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A signing key cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// The change was refused.
    #[error("{}", .0.for_operator())]
    Change(ChangeError),
}

/// The result of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The file of the current key.
    pub key_file: PathBuf,
    /// The file of the previous key, or `None` if it is no longer among the configured files.
    pub previous_key_file: Option<PathBuf>,
    /// How many values were sealed again, or `None` if an earlier call did that and only the files had to be renamed.
    pub values: Option<usize>,
    /// True if `sealing_key_file` does not name the current key yet.
    pub is_to_be_configured: bool,
    /// Why the files in the data directory could not be renamed.
    pub not_renamed: Option<String>,
    /// False if a live server has not confirmed yet that it has read the change.
    pub is_seen: bool,
}

/// Writes a new sealing key to a private file that must not exist yet.
pub fn create(path: &Path, entropy: &Entropy) -> Result<(), DirectoryError> {
    sealing_files::create(path, entropy).map(drop)
}

/// Replaces the sealing key of the configured database with the next one. Live servers must have both keys.
///
/// This can be interrupted at any moment. A server then starts with the files as they are, and the call can be
/// repeated.
pub async fn rotate(config: &Config, clock: Clock, entropy: Entropy) -> Result<Rotated, RotationError> {
    let database = config.database()?;
    check_private(config)?;
    let _directory = hold_directory(config, &database)?;
    let found = Found::read(&database).await?;
    let known = found.key_check.ok_or(RotationError::Empty)?;
    check_same(Memory::read(&config.data_dir)?.as_ref(), found.id.as_deref(), &database, &config.data_dir)?;
    check_version(&database).await?;
    let files = KeyFiles::read(config)?;
    if let (Some(present), Some(next)) = (&files.present, &files.next)
        && present.check == next.check
    {
        return Err(RotationError::SameKey(next.path.display().to_string()));
    }
    let wrong = || RotationError::WrongKey(config.sealing_key_path().display().to_string());
    let held = files.hold(&known).ok_or_else(wrong)?;
    if held.are_to_be_renamed(config) {
        return Ok(name_files(config, held.other.as_ref(), None, true));
    }
    if Some(&held.in_use.path) == config.sealing_key_next_file.as_ref() {
        return Err(RotationError::Done(held.in_use.path.display().to_string()));
    }
    let store = Store::open(&database).await?;
    let held = with_next(config, held, &store, &entropy).await?;
    let registry = LiveRegistry::new(held.clone(), config.registry.max_age_s, clock.clone());
    let state = State::new(config.issuer_for(config.listen)?, store, registry, clock, entropy);
    let resealed = reseal(&state, &held).await;
    state.store.close().await;
    let (values, is_seen) = resealed?;
    Ok(name_files(config, Some(&held.in_use), Some(values), is_seen))
}

/// Excludes servers without heartbeats from this data directory and from an SQLite file.
fn hold_directory(config: &Config, database: &DatabaseUrl) -> Result<Option<DataDirectory>, RotationError> {
    let file = database.sqlite_file();
    if file.is_none() && !config.is_sealing_key_in_directory() {
        return Ok(None);
    }
    if !config.data_dir.is_dir() || file.as_ref().is_some_and(|file| !file.exists()) {
        return Err(RotationError::Empty);
    }
    let directory = DataDirectory::open(&config.data_dir).map_err(|error| match error {
        DirectoryError::Locked(path) => RotationError::Served(path),
        other => other.into(),
    })?;
    match file {
        Some(file) if is_open(&file)? => Err(RotationError::Served(file.display().to_string())),
        _ => Ok(Some(directory)),
    }
}

/// Fails if the database is no longer in use, or must be migrated first, which only a server does.
async fn check_version(database: &DatabaseUrl) -> Result<(), RotationError> {
    let read = Store::open_read_only(database, true).await?;
    let (moved, migrated) = (read.find_setting(MOVED_TO).await, read.check_migrations().await);
    read.close().await;
    match (moved?, migrated?.missing) {
        (Some(elsewhere), _) => Err(RotationError::Moved(elsewhere)),
        (None, 0) => Ok(()),
        (None, missing) => Err(RotationError::Older(missing)),
    }
}

/// Returns the current and the next key. The next key is durable in its file, and is created here if it belongs in the
/// data directory.
async fn with_next(
    config: &Config,
    held: HeldKeys,
    store: &Store,
    entropy: &Entropy,
) -> Result<HeldKeys, RotationError> {
    if let Some(next) = &held.other {
        sealing_files::sync(&next.path)?;
        return Ok(held);
    }
    let is_plain = held.in_use.path.symlink_metadata().is_ok_and(|found| found.is_file());
    let path = config.sealing_key_next_path().filter(|_| config.is_sealing_key_in_directory() && is_plain);
    let path = path.ok_or(RotationError::NoNextKey)?;
    let live = store.list_nodes().await?.iter().filter(|node| is_alive(node)).count();
    if live > 0 {
        return Err(RotationError::NodesWithout(live));
    }
    // Before anything is sealed with it.
    let next = sealing_files::create(&path, entropy)?;
    Ok(HeldKeys { other: Some(next), ..held })
}

/// Seals everything with the next key. Returns how many values were sealed, and whether every live server has read the
/// change.
async fn reseal(state: &State, held: &HeldKeys) -> Result<(usize, bool), RotationError> {
    let next = held.other.as_ref().ok_or(RotationError::NoNextKey)?;
    state.follow().await?;
    let mut changing = Changing::begin(state, Author::server()).await.map_err(RotationError::Change)?;
    let keys = state.sealing_keys();
    if keys.key().check() == next.check {
        // By another call, just now.
        return Err(RotationError::Done(next.path.display().to_string()));
    }
    if keys.is_other_previous() {
        return Err(RotationError::OldKey(next.path.display().to_string()));
    }
    let nodes = state.store.list_nodes().await?;
    let without = nodes.iter().filter(|node| is_alive(node) && !node.sealing_keys.contains(&next.check)).count();
    if without > 0 {
        return Err(RotationError::NodesWithout(without));
    }
    let values = reseal_values(state, &mut changing.change, &keys, &next.key).await?;
    rename_failures(&mut changing, &keys, &next.key).await?;
    // The record of this change is the last one that the old key chains.
    let last = changing.change.find_last_audit_record().await?;
    let sequence = last.map_or(0, |last| last.said.sequence) + 1;
    let nonces = [state.entropy.bytes(), state.entropy.bytes()];
    let sealed = seal_previous(keys.key(), &next.key, sequence, nonces);
    let previous = sealed.map_err(|error| RotationError::Sealed("the previous key".to_owned(), error))?;
    changing.change.replace_sealing_key(previous, &next.check).await?;
    let view = |check: &str| json!({ "key": check.chars().take(8).collect::<String>() });
    let (before, after) = (Some(view(&held.in_use.check)), Some(view(&next.check)));
    let entry = Entry { action: "sealing-key.rotate", target: "database".to_owned(), before, after };
    changing.finish(entry).await.map_err(RotationError::Unknown)?;
    Ok((values, nodes::wait_until_seen(state).await))
}

/// Opens and seals every value. Returns how many there are.
async fn reseal_values(
    state: &State,
    change: &mut Change,
    keys: &SealingKeys,
    next: &SealingKey,
) -> Result<usize, RotationError> {
    let values = change.list_sealed().await?;
    let count = values.len();
    for SealedValue { kind, row, sealed } in values {
        let (label, name) = match kind {
            SealedKind::SigningKey => (SEAL_LABEL, row.as_str()),
            SealedKind::Seed => (SECOND_FACTOR, row.as_str()),
            SealedKind::PlaygroundSecret => PLAYGROUND_SECRET,
            SealedKind::AuditKey => (PREVIOUS_AUDIT, row.as_str()),
            SealedKind::MacKeys => (PREVIOUS_MACS, row.as_str()),
        };
        let opened = keys.open(label, name, &sealed);
        let anew = opened.and_then(|secret| next.seal(label, name, &secret, state.entropy.bytes()));
        let anew = anew.map_err(|error| RotationError::Sealed(format!("{label} {row}"), error))?;
        change.reseal(SealedValue { kind, row, sealed: anew }).await?;
    }
    Ok(count)
}

/// Failures of users are counted under the new MACs of their names, so that locked users stay locked. For names that do
/// not belong to a user, the counts start again.
async fn rename_failures(
    changing: &mut Changing<'_>,
    keys: &SealingKeys,
    next: &SealingKey,
) -> Result<(), RotationError> {
    let failed: HashSet<Vec<u8>> = changing.change.list_failed_names().await?.into_iter().collect();
    let next = next.derive_mac_key(MacUse::Name.label());
    let registry = changing.registry.clone();
    for user in registry.users() {
        let before = NameMac::by(keys.mac_key(MacUse::Name), user.login.as_str());
        if failed.contains(before.as_bytes().as_slice()) {
            let after = NameMac::by(&next, user.login.as_str());
            changing.change.rename_failures(before.as_bytes(), after.as_bytes()).await?;
        }
    }
    Ok(())
}

/// Renames the files in the data directory. The operator names all others.
fn name_files(config: &Config, before: Option<&HeldKey>, values: Option<usize>, is_seen: bool) -> Rotated {
    let (present, next) = (config.sealing_key_path(), config.sealing_key_next_path().unwrap_or_default());
    let of_others = |not_renamed| Rotated {
        key_file: next.clone(),
        previous_key_file: before.map(|before| before.path.clone()),
        values,
        is_to_be_configured: true,
        not_renamed,
        is_seen,
    };
    if !config.is_sealing_key_in_directory() {
        return of_others(None);
    }
    match put_in_place(config, before) {
        Ok(previous_key_file) => Rotated {
            key_file: present,
            previous_key_file,
            values,
            is_to_be_configured: false,
            not_renamed: None,
            is_seen,
        },
        Err(error) => of_others(Some(error.to_string())),
    }
}
