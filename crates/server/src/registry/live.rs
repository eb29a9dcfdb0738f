//! The current registry, the live revocations, and how fresh both are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::{ArcSwap, Guard};
use countersign_protocol::UnixTime;
use countersign_protocol::access_token::{KeySource, TokenFault};
use countersign_protocol::claims::Claims;
use countersign_protocol::client::Client;
use countersign_protocol::jose::jwk::KeyId;
use countersign_protocol::jose::key::VerifyingKey;
use countersign_protocol::refusal::{DatabaseTrouble, Refusal};
use countersign_protocol::revocation::{Ended, Known, Revoked, check_alive};
use countersign_store::{Counters, Load, Store, StoreError};
use tokio::time::timeout;

use crate::admin::own_api;
use crate::clock::Clock;
use crate::keys::error::KeyRingError;
use crate::keys::sealing_files::HeldKeys;
use crate::keys::sealing_keys::SealingKeys;
use crate::limits::FOLLOW_TIMEOUT;
use crate::registry::Registry;
use crate::registry::load::{self, Loaded};

/// How often a continuing failure is logged.
const QUIET_MS: i64 = 60_000;

/// The current registry, the live revocations, and how fresh both are.
#[derive(Debug)]
pub struct LiveRegistry {
    current: ArcSwap<Registry>,
    held_keys: HeldKeys,
    sealing_keys: ArcSwap<SealingKeys>,
    revoked: RwLock<HashMap<Revoked, UnixTime>>,
    seen_change: AtomicI64,
    last_read_ms: AtomicI64,
    database_lost: AtomicBool,
    max_age_ms: i64,
    /// Whether the registry becomes stale if the database is copied to another one.
    refuses_moved: bool,
    /// Until then, no further failure to read the registry is logged.
    quiet_until_ms: AtomicI64,
    clock: Clock,
    /// Only one task reads at a time. Otherwise, two could overwrite each other's newer registry.
    reading: tokio::sync::Mutex<()>,
}

impl LiveRegistry {
    /// Creates an empty registry, which is stale until it is first loaded.
    pub(crate) fn new(held_keys: HeldKeys, max_age_s: i64, clock: Clock) -> Self {
        Self {
            current: ArcSwap::default(),
            sealing_keys: ArcSwap::from_pointee(SealingKeys::first(&held_keys)),
            held_keys,
            revoked: RwLock::default(),
            seen_change: AtomicI64::new(0),
            last_read_ms: AtomicI64::new(i64::MIN / 2),
            database_lost: AtomicBool::new(true),
            max_age_ms: max_age_s * 1000,
            refuses_moved: false,
            quiet_until_ms: AtomicI64::new(i64::MIN),
            clock,
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// Stops using a database that is copied to another one.
    pub(crate) fn refusing_moved(self) -> Self {
        Self { refuses_moved: true, ..self }
    }

    /// Returns the current registry. A request takes it once, so that all its decisions use the same state.
    pub fn current(&self) -> Guard<Arc<Registry>> {
        self.current.load()
    }

    /// Returns the sealing keys as of the last change that was loaded.
    pub(crate) fn sealing_keys(&self) -> Arc<SealingKeys> {
        self.sealing_keys.load_full()
    }

    /// Returns the sealing keys of this node.
    pub(crate) fn held_keys(&self) -> &HeldKeys {
        &self.held_keys
    }

    /// Fails if the last successful read is too old. A stale registry refuses requests.
    pub fn check_fresh(&self) -> Result<(), Refusal> {
        let age_ms = self.clock.monotonic_ms() - self.last_read_ms.load(Ordering::Acquire);
        if age_ms > self.max_age_ms { Err(Refusal::StaleRegistry) } else { Ok(()) }
    }

    /// Fails while the database is known to be unreachable, so that requests that need it are refused immediately.
    pub fn check_database(&self) -> Result<(), Refusal> {
        if self.database_lost.load(Ordering::Acquire) {
            Err(Refusal::DatabaseUnavailable(DatabaseTrouble::Lost))
        } else {
            Ok(())
        }
    }

    /// True once a minute, if a failure to read the registry should be logged.
    pub(crate) fn is_to_be_told(&self) -> bool {
        let now_ms = self.clock.monotonic_ms();
        let quiet_until_ms = self.quiet_until_ms.load(Ordering::Relaxed);
        if quiet_until_ms > now_ms {
            return false;
        }
        self.quiet_until_ms.store(now_ms + QUIET_MS, Ordering::Relaxed);
        true
    }

    /// Reads the change counter and loads newer changes.
    pub async fn follow(&self, store: &Store) -> Result<(), KeyRingError> {
        let _reading = self.reading.lock().await;
        let read_at_ms = self.clock.monotonic_ms();
        let counters = follow_counters(store).await;
        self.database_lost.store(counters.is_err(), Ordering::Release);
        let loaded = self.load_newer(counters?, store).await;
        // Tokens are issued until the registry is too old, but nothing is written that the copy does not contain.
        store.note_moved(matches!(loaded, Err(KeyRingError::Moved(_))));
        loaded?;
        self.last_read_ms.store(read_at_ms, Ordering::Release);
        Ok(())
    }

    async fn load_newer(&self, counters: Counters, store: &Store) -> Result<(), KeyRingError> {
        let seen = self.seen_change.load(Ordering::Acquire);
        if counters.change == seen {
            return Ok(());
        }
        // After the database was reset to an earlier state, these numbers belong to other changes.
        let since = if counters.change < seen { 0 } else { seen };
        for revocation in store.load_revocations(since).await? {
            self.insert_revoked(revocation.revoked, revocation.expires_at);
        }
        if counters.registry_change != self.current().change() {
            self.load(store.begin_load().await?).await?.finish().await?;
        }
        self.seen_change.store(counters.change, Ordering::Release);
        Ok(())
    }

    /// Updates the registry to the state of a load.
    async fn load(&self, mut load: Load) -> Result<Load, KeyRingError> {
        let loaded = load::bring_up(&self.current(), &mut load, &self.held_keys).await?;
        match &loaded.moved_to {
            Some(elsewhere) if self.refuses_moved => Err(KeyRingError::Moved(elsewhere.clone())),
            _ => {
                self.replace(loaded);
                Ok(load)
            }
        }
    }

    fn replace(&self, Loaded { registry, sealing_keys, .. }: Loaded) {
        if let Some(sealing_keys) = sealing_keys {
            self.sealing_keys.store(Arc::new(sealing_keys));
        }
        self.current.store(Arc::new(registry));
    }

    /// Compares the registry with the database, by IDs and the last changes that touched them, and reloads everything
    /// if they differ. Returns true if they were the same.
    pub async fn compare(&self, store: &Store) -> Result<bool, KeyRingError> {
        let (registry, mut load) = {
            let _reading = self.reading.lock().await;
            let load = self.load(store.begin_long_load().await?).await?;
            (self.current().clone(), load)
        };
        let is_same = registry.marks() == load::read_marks(&registry, &mut load).await?;
        load.finish().await?;
        if !is_same {
            let _reading = self.reading.lock().await;
            let mut load = store.begin_load().await?;
            self.replace(load::load_everything(&registry, &mut load, &self.held_keys).await?);
            load.finish().await?;
        }
        Ok(is_same)
    }

    /// Applies a revocation, which is already durable, to this node.
    pub fn insert_revoked(&self, revoked: Revoked, expires_at: UnixTime) {
        self.revoked.write().unwrap_or_else(PoisonError::into_inner).insert(revoked, expires_at);
    }

    /// Removes the revocations whose tokens have expired.
    pub fn drop_expired(&self, before: UnixTime) {
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        revoked.retain(|_, expires_at| *expires_at >= before);
    }

    fn is_revoked(&self, revoked: &Revoked) -> bool {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner).contains_key(revoked)
    }
}

async fn follow_counters(store: &Store) -> Result<Counters, StoreError> {
    let late = |_| {
        let reason = format!("reading the change counter took more than {} s", FOLLOW_TIMEOUT.as_secs());
        StoreError::Unavailable(DatabaseTrouble::Slow, reason)
    };
    timeout(FOLLOW_TIMEOUT, store.follow_counters()).await.map_err(late)?
}

impl KeySource for LiveRegistry {
    fn check_current(&self) -> Result<(), TokenFault> {
        self.check_fresh().map_err(|_| TokenFault::Stale)
    }

    fn find_key(&self, key_id: &KeyId) -> Option<Arc<VerifyingKey>> {
        self.current().keys().find_key(key_id)
    }

    fn check_alive(&self, claims: &Claims) -> Result<(), Ended> {
        let registry = self.current();
        let audience = claims.audiences.first();
        let known = Known {
            client: registry.find_client(&claims.client_id),
            user: registry.find_user(&claims.subject).map(Arc::as_ref),
            api: audience.and_then(|audience| registry.find_api_by_audience(audience)).map(Arc::as_ref),
        };
        check_alive(claims, known, |revoked| self.is_revoked(revoked))?;
        // Otherwise, an administrator's client could use a token from before the end of a secret to create another
        // secret.
        let has_lost_secret = |client: &Client| client.has_lost_secret(claims.issued_at, self.clock.now());
        let is_administrative = known.api.is_some_and(own_api::is_own);
        if is_administrative && known.client.is_some_and(has_lost_secret) { Err(Ended::SecretEnded) } else { Ok(()) }
    }
}
