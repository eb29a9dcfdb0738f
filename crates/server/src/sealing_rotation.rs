//! Replaces the sealing key: all that is sealed is sealed anew, in one change.

use std::fs;
use std::path::{Path, PathBuf};

use countersign_store::{Change, SealedKind, SealedValue, Store, StoreError};

use crate::admin::change::{Author, Changing, Entry};
use crate::admin::problem::Problem;
use crate::clock::{Clock, Entropy};
use crate::config::{Config, ConfigError};
use crate::data_directory::{DataDirectory, DirectoryError, failed, sync_directory, write_private};
use crate::demo::{second_factor, settings};
use crate::guessing::NameMac;
use crate::identity::{Found, IdentityError, Memory, check_same};
use crate::key_ring::{KeyRingError, SEAL_LABEL};
use crate::nodes::{self, is_alive};
use crate::registry::LiveRegistry;
use crate::sealing::{SealError, SealingKey};
use crate::sealing_keys::{HeldKey, HeldKeys, KeyFiles, MacUse, PREVIOUS_AUDIT, PREVIOUS_MACS, SealingKeys, keep};
use crate::state::State;

/// Why the sealing key was not replaced. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// There is nothing in the database.
    #[error("there is nothing in this database; --data-dir, --config or --database-url name another one")]
    Empty,
    /// Neither file holds the sealing key of the database.
    #[error("{0}: this is not the sealing key of this database; copy the right one here")]
    WrongKey(String),
    /// Nothing says what is to replace the key.
    #[error(
        "the sealing key is not in the data directory, so its successor must be given: make one by \
         `countersign sealing-key create FILE`, and let COUNTERSIGN_SEALING_KEY_NEXT_FILE name it"
    )]
    NoNextKey,
    /// The database has the next key already.
    #[error("the database has the key of {0} already; let sealing_key_file name it, and sealing_key_next_file nothing")]
    Done(String),
    /// Live nodes could not go on.
    #[error(
        "{0} of the servers on this database cannot open with the new key; stop them, or restart each with \
         COUNTERSIGN_SEALING_KEY_NEXT_FILE, and repeat this"
    )]
    NodesWithout(usize),
    /// A file is there already.
    #[error("{0}: is there already, and a key that is overwritten is lost")]
    FileExists(String),
    /// A sealed value does not open, or cannot be sealed.
    #[error("{0}: {1}")]
    Sealed(String, SealError),
    /// A key of the configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The database is not this data directory's.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A signing key cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// The change was refused.
    #[error("{0}")]
    Change(Problem),
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// Where the key is that everything is sealed with now.
    pub key_file: PathBuf,
    /// Where the one before it is: backups from before need it.
    pub previous_key_file: PathBuf,
    /// How many values were sealed anew; 0 if an earlier call had done that, and only the files were left to be renamed.
    pub values: usize,
    /// True if the configuration must name the new file.
    pub is_to_be_configured: bool,
    /// False if a live server has not yet told that it has read the change.
    pub is_seen: bool,
}

/// Writes a new sealing key into a private file that must not be there yet.
pub fn create(path: &Path, entropy: &Entropy) -> Result<(), RotationError> {
    if path.symlink_metadata().is_ok() {
        return Err(RotationError::FileExists(path.display().to_string()));
    }
    Ok(write_private(path, &SealingKey::from_random(entropy.bytes()).to_text())?)
}

/// Replaces the sealing key of the configured database by the next one. Servers that live meanwhile must hold both keys.
///
/// If this ends at any moment, a server starts with the files as they are, and this can be repeated.
pub async fn rotate(config: &Config, clock: Clock, entropy: Entropy) -> Result<Rotated, RotationError> {
    let database = config.database()?;
    let is_in_directory = config.sealing_key_file.is_none() && config.sealing_key_next_file.is_none();
    if !config.data_dir.is_dir() && (is_in_directory || database.sqlite_file().is_some()) {
        return Err(RotationError::Empty);
    }
    // A live server holds its directory; what it has on PostgreSQL is guarded by heartbeats.
    let is_held = is_in_directory || database.sqlite_file().is_some();
    let _directory = is_held.then(|| DataDirectory::open(&config.data_dir)).transpose()?;
    let found = Found::read(&database).await?;
    let known = found.key_check.ok_or(RotationError::Empty)?;
    check_same(Memory::read(&config.data_dir)?.as_ref(), found.id.as_deref(), &database, &config.data_dir)?;
    let wrong = || RotationError::WrongKey(config.sealing_key_path().display().to_string());
    let held = KeyFiles::read(config)?.hold(&known).ok_or_else(wrong)?;
    if Some(&held.in_use.path) == config.sealing_key_next_path().as_ref() {
        return if is_in_directory {
            // An earlier call was ended before it had renamed the files.
            Ok(settle(config, held, Resealed { values: 0, is_seen: true })?)
        } else {
            Err(RotationError::Done(held.in_use.path.display().to_string()))
        };
    }
    let held = with_successor(config, held, &entropy)?;
    let store = Store::open(&database).await?;
    let registry = LiveRegistry::new(held.clone(), config.registry.max_age_s, clock.clone());
    let state = State::new(config.issuer_for(config.listen)?, store, registry, clock, entropy);
    let resealed = reseal(&state, &held).await;
    state.store.close().await;
    settle(config, held, resealed?)
}

/// The key in use and the one to follow it, which is made here if its place is the data directory.
fn with_successor(config: &Config, held: HeldKeys, entropy: &Entropy) -> Result<HeldKeys, RotationError> {
    if held.other.is_some() {
        return Ok(held);
    }
    let is_in_directory = config.sealing_key_file.is_none();
    let path = config.sealing_key_next_path().filter(|_| is_in_directory).ok_or(RotationError::NoNextKey)?;
    let key = SealingKey::from_random(entropy.bytes());
    // Before anything is sealed with it.
    write_private(&path, &key.to_text())?;
    Ok(HeldKeys { other: Some(HeldKey::new(path, key)), ..held })
}

struct Resealed {
    values: usize,
    is_seen: bool,
}

async fn reseal(state: &State, held: &HeldKeys) -> Result<Resealed, RotationError> {
    let following = held.other.as_ref().ok_or(RotationError::NoNextKey)?;
    state.follow().await?;
    let mut changing = Changing::begin(state, Author::server()).await.map_err(RotationError::Change)?;
    let nodes = state.store.list_nodes().await?;
    let without = nodes.iter().filter(|node| is_alive(node) && !node.sealing_keys.contains(&following.check)).count();
    if without > 0 {
        return Err(RotationError::NodesWithout(without));
    }
    let keys = state.sealing_keys();
    let values = reseal_values(state, &mut changing.change, &keys, &following.key).await?;
    rename_failures(state, &mut changing, &following.key).await?;
    let last = changing.change.find_last_audit_record().await?;
    // That of this change.
    let sequence = last.map_or(0, |last| last.said.sequence) + 1;
    let nonces = [state.entropy.bytes(), state.entropy.bytes()];
    let previous = keep(keys.key(), &following.key, sequence, nonces);
    let previous = previous.map_err(|error| RotationError::Sealed("the previous key".to_owned(), error))?;
    changing.change.replace_sealing_key(previous, &following.check).await?;
    let (action, target) = ("sealing-key.rotate", "database".to_owned());
    let after = serde_json::json!({ "values": values });
    let finished = changing.finish(Entry { action, target, before: None, after: Some(after) }).await;
    finished.map_err(RotationError::Change)?;
    let is_seen = nodes::wait_until_seen(state).await;
    Ok(Resealed { values, is_seen })
}

/// Opens and seals every value.
async fn reseal_values(
    state: &State,
    change: &mut Change,
    keys: &SealingKeys,
    following: &SealingKey,
) -> Result<usize, RotationError> {
    let values = change.list_sealed().await?;
    let count = values.len();
    for SealedValue { kind, row, sealed } in values {
        let (label, name) = match kind {
            SealedKind::SigningKey => (SEAL_LABEL, row.as_str()),
            SealedKind::Seed => (second_factor::SEED, row.as_str()),
            SealedKind::PlaygroundSecret => settings::SEALED_AS,
            SealedKind::AuditKey => (PREVIOUS_AUDIT, row.as_str()),
            SealedKind::MacKeys => (PREVIOUS_MACS, row.as_str()),
        };
        let opened = keys.open(label, name, &sealed);
        let sealed = opened.and_then(|secret| following.seal(label, name, &secret, state.entropy.bytes()));
        let sealed = sealed.map_err(|error| RotationError::Sealed(format!("{label} {row}"), error))?;
        change.reseal(SealedValue { kind, row, sealed }).await?;
    }
    Ok(count)
}

/// Counts the failures of every user's name on: who was locked stays locked. Under names that nobody has they begin anew.
async fn rename_failures(
    state: &State,
    changing: &mut Changing<'_>,
    following: &SealingKey,
) -> Result<(), RotationError> {
    let failed = changing.change.list_failed_names().await?;
    let (present, following) = (state.sealing_keys(), following.derive_mac_key(MacUse::Name.label()));
    let registry = changing.registry.clone();
    for user in registry.users() {
        let before = NameMac::by(present.mac_key(MacUse::Name), user.login.as_str());
        if failed.iter().any(|failed| failed.as_slice() == before.as_bytes()) {
            let after = NameMac::by(&following, user.login.as_str());
            changing.change.rename_failures(before.as_bytes(), after.as_bytes()).await?;
        }
    }
    Ok(())
}

fn settle(config: &Config, held: HeldKeys, Resealed { values, is_seen }: Resealed) -> Result<Rotated, RotationError> {
    let (present, next) = (config.sealing_key_path(), config.sealing_key_next_path().unwrap_or_default());
    let previous = held.other.iter().chain([&held.in_use]).find(|key| key.path == present).map(|key| key.check.clone());
    let is_to_be_configured = config.sealing_key_file.is_some() || config.sealing_key_next_file.is_some();
    if is_to_be_configured {
        return Ok(Rotated { key_file: next, previous_key_file: present, values, is_to_be_configured, is_seen });
    }
    let previous_key_file = rename_files(config, previous.as_deref())?;
    Ok(Rotated { key_file: present, previous_key_file, values, is_to_be_configured, is_seen })
}

/// After a rotation gives the next key in the data directory its name, and the one before it another.
pub(crate) fn settle_files(config: &Config, held: HeldKeys) -> Result<HeldKeys, DirectoryError> {
    let is_in_directory = config.sealing_key_file.is_none() && config.sealing_key_next_file.is_none();
    if !is_in_directory || Some(&held.in_use.path) != config.sealing_key_next_path().as_ref() {
        return Ok(held);
    }
    rename_files(config, held.other.as_ref().map(|other| other.check.as_str()))?;
    Ok(HeldKeys { in_use: HeldKey { path: config.sealing_key_path(), ..held.in_use }, ..held })
}

/// Returns where the key of the check is now. Both are there under one name or another at every moment.
fn rename_files(config: &Config, previous: Option<&str>) -> Result<PathBuf, DirectoryError> {
    let (present, next) = (config.sealing_key_path(), config.sealing_key_next_path().unwrap_or_default());
    let mark: String = previous.unwrap_or_default().chars().take(8).collect();
    let before = present.with_file_name(format!("sealing.key.replaced-{mark}"));
    if previous.is_some() {
        fs::rename(&present, &before).map_err(|error| failed(&present, error))?;
    }
    fs::rename(&next, &present).map_err(|error| failed(&next, error))?;
    sync_directory(&config.data_dir)?;
    Ok(before)
}
