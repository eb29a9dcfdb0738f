//! Startup: directory, sealing key, database, registry. Any failure is reported as one line.

use std::sync::Arc;

use countersign_protocol::issuer::Issuer;
use countersign_store::{DatabaseUrl, MOVED_TO, SEALING_KEY_CHECK, Store, StoreError};

use crate::admin::change_error::ChangeError;
use crate::admin::operator::{self, OperatorError};
use crate::clock::{Clock, Entropy};
use crate::config::{Config, ConfigError};
use crate::http::admission::Admission;
use crate::http::tls::{Tls, TlsError};
use crate::keys::error::KeyRingError;
use crate::keys::first_key::provide_missing;
use crate::keys::sealing::SealingKey;
use crate::keys::sealing_files::{HeldKey, HeldKeys, KeyFiles};
use crate::operations::data_directory::{DataDirectory, DirectoryError, check_private, prepare_private, write_private};
use crate::operations::identity::{Found, IdentityError, Memory, check_same, lost, new_id, remember};
use crate::registry::live::LiveRegistry;
use crate::state::State;

/// The setting that stores whether the database was first started with `--demo`.
const IS_DEMO: &str = "is_demo";

/// Why a start failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A signing key cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// A signing key cannot be created.
    #[error("failed to create a signing key: {}", .0.for_operator())]
    FirstKey(ChangeError),
    /// The sealing key of the database is missing.
    #[error("{0}: the sealing key of this database is missing; copy it here, or set COUNTERSIGN_SEALING_KEY_FILE")]
    SealingKeyMissing(String),
    /// The configuration names a sealing key file that does not exist, for a new database.
    #[error("{0}: no such file; the first start only creates a sealing key in the data directory")]
    SealingKeyFileMissing(String),
    /// The sealing key belongs to another database, or another node's was first.
    #[error("{0}: does not match this database; copy the right sealing key here")]
    SealingKeyWrong(String),
    /// The content of this database was copied to another one, which is in use now.
    #[error(
        "this database was copied to {0} by `countersign migrate`; serve the copy, or add --force to serve this one"
    )]
    Moved(String),
    /// The database belongs to another data directory.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// There is no operator.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// The database was first started without `--demo`.
    #[error("--demo: this data directory was created without --demo; choose another one with --data-dir")]
    NotADemo,
}

/// A server that is ready to accept connections. It keeps its data directory locked until it is dropped.
#[derive(Debug)]
pub struct Started {
    /// The state for requests.
    pub state: State,
    /// The certificate, if connections are encrypted.
    pub tls: Option<Arc<Tls>>,
    /// The data directory, locked until this is dropped.
    pub directory: DataDirectory,
}

/// Options of a start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Whether to create the demo, which the crate `web` does.
    pub demo: bool,
    /// Whether to create a new secret for the operator, which revokes the existing ones.
    pub new_operator: bool,
    /// Whether to use a database that was copied elsewhere.
    pub force: bool,
    /// Whether to accept an empty database, or a sealing key that was created elsewhere.
    pub new_database: bool,
}

/// Opens everything, creates what a first start creates, and loads the registry.
pub async fn start(
    config: &Config,
    issuer: Issuer,
    wanted: Wanted,
    clock: Clock,
    entropy: Entropy,
) -> Result<Started, StartError> {
    // First, so that an invalid certificate changes nothing on disk.
    let tls = Tls::read(config.tls.files()?, &issuer, clock.now())?;
    check_private(config)?;
    let mut directory = DataDirectory::open(&config.data_dir)?;
    let database = config.database()?;
    let settled = settle_sealing_key(config, &database, &directory, wanted.new_database, &entropy).await?;
    if let Some(file) = database.sqlite_file() {
        directory.lock_database(&file)?;
        prepare_private(&file)?;
    }
    let store = Store::open(&database).await?;
    if let Some(elsewhere) = store.find_setting(MOVED_TO).await?.filter(|_| !wanted.force) {
        return Err(StartError::Moved(elsewhere));
    }
    let sealing = claim_database(config, &store, &directory, settled).await?;
    let database_id = store.claim_database_id(&new_id(&entropy)).await?;
    check_same(Memory::read(directory.path())?.as_ref(), Some(&database_id), &database, directory.path())?;
    let registry = LiveRegistry::new(sealing, config.registry.max_age_s, clock.clone());
    let registry = if wanted.force { registry } else { registry.refusing_moved() };
    let mut state = State::new(issuer, store, registry, clock, entropy);
    state.admission = Arc::new(Admission::new(&config.http, state.clock.clone()));
    check_demo(&state.store, wanted.demo).await?;
    state.metrics_beside = config.metrics_beside();
    // An origin is ASCII.
    state.cors_origins = config.http.cors_origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    state.rotate_keys_after_s = config.keys.rotate_after_s;
    // Before the registry is loaded: from now on, a node that publishes a key waits until this one has loaded it.
    state.store.beat(&state.node_id, 0, &state.registry.held_keys().checks()).await?;
    state.follow().await?;
    operator::provide(&state, &directory, wanted.new_operator).await?;
    provide_missing(&state).await.map_err(StartError::FirstKey)?;
    // The last step, so that an interrupted first start can be repeated.
    remember(&directory, database_id)?;
    Ok(Started { state, tls, directory })
}

/// Fails if `--demo` is requested for a database that was first started without it.
async fn check_demo(store: &Store, want_demo: bool) -> Result<(), StartError> {
    let claimed = store.claim_setting(IS_DEMO, if want_demo { "true" } else { "false" }).await?;
    if want_demo && claimed != "true" { Err(StartError::NotADemo) } else { Ok(()) }
}

/// The sealing key of a start.
struct Settled {
    held: HeldKeys,
    /// True if this start has created it.
    is_new: bool,
}

/// Returns the sealing key in the file, or creates one for a new database. Nothing in the database changes before it is
/// known to belong to this directory.
async fn settle_sealing_key(
    config: &Config,
    database: &DatabaseUrl,
    directory: &DataDirectory,
    new_database: bool,
    entropy: &Entropy,
) -> Result<Settled, StartError> {
    let path = config.sealing_key_path();
    let shown = || path.display().to_string();
    let memory = Memory::read(directory.path())?;
    let found = Found::read(database).await?;
    let files = KeyFiles::read(config)?;
    if let Some(known) = &found.key_check {
        check_same(memory.as_ref(), found.id.as_deref(), database, directory.path())?;
        let is_missing = files.present.is_none();
        return match files.hold(known) {
            Some(held) => Ok(Settled { held: held.named(config), is_new: false }),
            None if is_missing => Err(StartError::SealingKeyMissing(shown())),
            None => Err(StartError::SealingKeyWrong(shown())),
        };
    }
    let has_next = files.next.is_some();
    let settled = |key: HeldKey, is_new| Settled { held: HeldKeys { in_use: key, other: files.next }, is_new };
    let is_remembered = matches!(memory, Some(Memory::DatabaseId(_)));
    let began = |key: &HeldKey| memory == Some(Memory::FirstStart(key.check.clone()));
    match files.present {
        Some(key) if began(&key) => Ok(settled(key, false)),
        Some(key) if new_database => {
            Memory::FirstStart(key.check.clone()).write(directory)?;
            Ok(settled(key, false))
        }
        None if new_database || (!is_remembered && !has_next) => {
            if config.sealing_key_file.is_some() {
                return Err(StartError::SealingKeyFileMissing(shown()));
            }
            let key = HeldKey::new(path.clone(), SealingKey::from_random(entropy.bytes()));
            // Recorded before the key is created: a key without this record was created elsewhere, or for a lost
            // database.
            Memory::FirstStart(key.check.clone()).write(directory)?;
            write_private(&path, &key.key.to_text())?;
            Ok(settled(key, true))
        }
        _ => Err(lost(memory.as_ref(), database, &path).into()),
    }
}

/// Stores the fingerprint of the sealing key in the database, unless it has another one.
async fn claim_database(
    config: &Config,
    store: &Store,
    directory: &DataDirectory,
    settled: Settled,
) -> Result<HeldKeys, StartError> {
    let standing = store.claim_setting(SEALING_KEY_CHECK, &settled.held.in_use.check).await?;
    if settled.held.checks().contains(&standing.as_str()) {
        return Ok(settled.held);
    }
    // Another node was first on this database. The key that we have created is not in use anywhere.
    let path = config.sealing_key_path();
    let shown = path.display().to_string();
    if settled.is_new {
        std::fs::remove_file(&path).map_err(|error| DirectoryError::Io { path: shown.clone(), error })?;
        Memory::forget(directory)?;
    }
    Err(StartError::SealingKeyWrong(shown))
}
