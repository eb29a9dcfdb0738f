//! The registry: everything a token request needs to know, held whole in memory (docs/adr/0001).

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::{ArcSwap, Guard};
use countersign_protocol::UnixTime;
use countersign_protocol::access_token::{Claims, KeySource, TokenFault};
use countersign_protocol::api::Api;
use countersign_protocol::client::{Client, ClientId};
use countersign_protocol::grant::GrantType;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::jwk::KeyId;
use countersign_protocol::jose::key::VerifyingKey;
use countersign_protocol::path_rule::PathRule;
use countersign_protocol::refusal::{DatabaseTrouble, Refusal};
use countersign_protocol::revocation::{Ended, Known, Revoked, check_alive};
use countersign_protocol::scope::Scope;
use countersign_protocol::user::{User, name_key};
use countersign_store::{Counters, Notes, PlaygroundSettings, RegistryRows, Store, StoreError};
use tokio::time::timeout;

use crate::admin::access;
use crate::clock::Clock;
use crate::key_ring::{KeyRing, KeyRingError};
use crate::limits::FOLLOW_TIMEOUT;
use crate::sealing_files::HeldKeys;
use crate::sealing_keys::SealingKeys;

/// Apis, clients, users and keys as of one change; never changed, only replaced.
#[derive(Debug, Default)]
pub struct Registry {
    registry_change: i64,
    apis: HashMap<String, Arc<Api>>,
    api_ids_by_audience: HashMap<String, String>,
    clients: HashMap<ClientId, Client>,
    users: HashMap<String, Arc<User>>,
    user_ids_by_login: HashMap<String, String>,
    notes: Notes,
    keys: KeyRing,
    missing_keys: Vec<Algorithm>,
    playground: PlaygroundSettings,
}

impl Registry {
    fn build(mut rows: RegistryRows, sealing: &SealingKeys, previous: &Self) -> Result<Self, KeyRingError> {
        rows.apis.iter_mut().for_each(|api| keep_compiled_rules(api, previous));
        let audience = |api: &Api| (api.audience.to_string(), api.id.to_string());
        let keys = KeyRing::build(&rows.keys, sealing, &previous.keys)?;
        let mut sets = HashSet::new();
        let clients = rows.clients.into_iter().map(|client| pack(client, &rows.apis, &mut sets));
        let clients = clients.map(|client| (client.id.clone(), client)).collect();
        Ok(Self {
            missing_keys: keys.missing(&rows.apis),
            keys,
            playground: rows.playground,
            registry_change: rows.counters.registry_change,
            api_ids_by_audience: rows.apis.iter().map(audience).collect(),
            apis: rows.apis.into_iter().map(|api| (api.id.to_string(), Arc::new(api))).collect(),
            clients,
            user_ids_by_login: rows
                .users
                .iter()
                .map(|user| (name_key(user.login.as_str()), user.id.to_string()))
                .collect(),
            notes: rows.notes,
            users: rows.users.into_iter().map(|user| (user.id.to_string(), Arc::new(user))).collect(),
        })
    }

    /// The number of the change that this registry is as of: what every token issued on it carries.
    pub(crate) fn change(&self) -> i64 {
        self.registry_change
    }

    /// The Api of an id.
    pub fn find_api(&self, id: &str) -> Option<&Arc<Api>> {
        self.apis.get(id)
    }

    /// The Api of an audience.
    pub fn find_api_by_audience(&self, audience: &str) -> Option<&Arc<Api>> {
        self.apis.get(self.api_ids_by_audience.get(audience)?)
    }

    /// Every Api.
    pub fn apis(&self) -> impl Iterator<Item = &Api> {
        self.apis.values().map(Arc::as_ref)
    }

    /// The longest lifetime of an access token, in seconds.
    pub fn longest_lifetime_s(&self) -> i64 {
        self.apis().map(|api| api.access_token_lifetime_s).max().unwrap_or_default()
    }

    /// The client of an id.
    pub fn find_client(&self, id: &str) -> Option<&Client> {
        self.clients.get(id)
    }

    /// The user of an id.
    pub fn find_user(&self, id: &str) -> Option<&Arc<User>> {
        self.users.get(id)
    }

    /// Every client.
    pub(crate) fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.values()
    }

    /// Every user.
    pub(crate) fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values().map(Arc::as_ref)
    }

    /// The user of a login name.
    pub(crate) fn find_user_by_login(&self, login: &str) -> Option<&Arc<User>> {
        self.find_user(self.user_ids_by_login.get(&name_key(login))?)
    }

    /// Since when Apis, clients and users are there.
    pub(crate) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The settings of the playground.
    pub fn playground(&self) -> &PlaygroundSettings {
        &self.playground
    }

    /// The signing keys.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// The algorithms in use that have no active key yet.
    pub fn missing_keys(&self) -> &[Algorithm] {
        &self.missing_keys
    }

    /// The Api of a tenant path.
    pub fn find_tenant(&self, id: &str) -> Result<&Arc<Api>, Refusal> {
        self.find_api(id).ok_or(Refusal::UnknownApiPath)
    }

    /// The Api that `resource` names (RFC 8707 §2); the same one may be named twice.
    pub fn find_named(&self, resources: &[String]) -> Result<Option<&Arc<Api>>, Refusal> {
        let Some((first, others)) = resources.split_first() else {
            return Ok(None);
        };
        if others.iter().any(|other| other != first) {
            return Err(Refusal::SeveralResources);
        }
        self.find_api_by_audience(first).map(Some).ok_or(Refusal::UnknownResource)
    }

    /// The one Api that the client may ask by this grant, when none is named.
    pub fn find_only_api(&self, client: &Client, grant: GrantType) -> Result<&Arc<Api>, Refusal> {
        if client.may_ask.is_empty() {
            return Err(Refusal::NoEntitlement);
        }
        let mut possible = client.may_ask.iter().filter(|(_, entitlement)| entitlement.grants.contains(grant));
        match (possible.next(), possible.next()) {
            (None, _) => Err(Refusal::GrantNotAllowedToClient),
            (Some((id, _)), None) => self.find_api(id.as_str()).ok_or(Refusal::NoEntitlement),
            (Some(_), Some(_)) => Err(Refusal::AmbiguousApi),
        }
    }
}

/// Takes over the rules of the previous registry that are compiled, so that a change compiles no pattern again.
fn keep_compiled_rules(api: &mut Api, previous: &Registry) {
    let known = previous.find_api(api.id.as_str()).into_iter().flat_map(|api| &api.scopes);
    let known = known.flat_map(|scope| &scope.rules).filter(|rule| rule.is_compiled());
    let known: HashMap<&str, &PathRule> = known.map(|rule| (rule.as_str(), rule)).collect();
    for rule in api.scopes.iter_mut().flat_map(|scope| &mut scope.rules) {
        if let Some(compiled) = known.get(rule.as_str()) {
            *rule = PathRule::clone(compiled);
        }
    }
}

/// The same client in as little memory as it needs: no spare room, and what it holds in common with others (ids of Apis,
/// sets of scopes) held once. Ten thousand clients then fit the processor's caches better.
fn pack(mut client: Client, apis: &[Api], sets: &mut HashSet<Scope>) -> Client {
    for (id, entitlement) in &mut client.may_ask {
        if let Some(api) = apis.iter().find(|api| api.id == *id) {
            *id = api.id.clone();
        }
        if let Some(set) = sets.get(&entitlement.scopes) {
            entitlement.scopes = set.clone();
        } else {
            sets.insert(entitlement.scopes.clone());
        }
    }
    client.may_ask.shrink_to_fit();
    client.may_introspect.shrink_to_fit();
    client.credentials.shrink_to_fit();
    client
}

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
    clock: Clock,
    /// One reader at a time: two would race to replace each other's newer registry.
    reading: tokio::sync::Mutex<()>,
}

impl LiveRegistry {
    /// An empty registry, stale until it is first read.
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
            clock,
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// The registry as it is now; a request takes it once, so that all of it is decided on one state.
    pub fn current(&self) -> Guard<Arc<Registry>> {
        self.current.load()
    }

    /// The sealing keys as of the last change that was read.
    pub(crate) fn sealing_keys(&self) -> Arc<SealingKeys> {
        self.sealing_keys.load_full()
    }

    /// The sealing keys that this node holds.
    pub(crate) fn held_keys(&self) -> &HeldKeys {
        &self.held_keys
    }

    /// Err when the last good read is too old: stale is closed, not open.
    pub fn check_fresh(&self) -> Result<(), Refusal> {
        let age_ms = self.clock.monotonic_ms() - self.last_read_ms.load(Ordering::Acquire);
        if age_ms > self.max_age_ms { Err(Refusal::StaleRegistry) } else { Ok(()) }
    }

    /// Err while the database is known to be lost, so that what needs it is refused at once.
    pub fn check_database(&self) -> Result<(), Refusal> {
        if self.database_lost.load(Ordering::Acquire) {
            Err(Refusal::DatabaseUnavailable(DatabaseTrouble::Lost))
        } else {
            Ok(())
        }
    }

    /// Reads the change counter and loads what is newer.
    pub async fn follow(&self, store: &Store) -> Result<(), KeyRingError> {
        let _reading = self.reading.lock().await;
        let read_at_ms = self.clock.monotonic_ms();
        let counters = read_counters(store).await;
        self.database_lost.store(counters.is_err(), Ordering::Release);
        self.load_newer(counters?, store).await?;
        self.last_read_ms.store(read_at_ms, Ordering::Release);
        Ok(())
    }

    async fn load_newer(&self, counters: Counters, store: &Store) -> Result<(), KeyRingError> {
        let seen = self.seen_change.load(Ordering::Acquire);
        if counters.change == seen {
            return Ok(());
        }
        for revocation in store.load_revocations(seen).await? {
            self.insert_revoked(revocation.revoked, revocation.expires_at);
        }
        if counters.registry_change != self.current().registry_change {
            let rows = store.load_registry().await?;
            let sealing_keys = SealingKeys::build(&self.held_keys, &rows.sealing_keys)?;
            let registry = Registry::build(rows, &sealing_keys, &self.current())?;
            self.sealing_keys.store(Arc::new(sealing_keys));
            self.current.store(Arc::new(registry));
        }
        self.seen_change.store(counters.change, Ordering::Release);
        Ok(())
    }

    /// Makes a revocation, already durable, known on this node.
    pub fn insert_revoked(&self, revoked: Revoked, expires_at: UnixTime) {
        self.revoked.write().unwrap_or_else(PoisonError::into_inner).insert(revoked, expires_at);
    }

    /// Forgets the revocations whose tokens are dead by themselves.
    pub fn drop_expired(&self, before: UnixTime) {
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        revoked.retain(|_, expires_at| *expires_at >= before);
    }

    fn is_revoked(&self, revoked: &Revoked) -> bool {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner).contains_key(revoked)
    }
}

async fn read_counters(store: &Store) -> Result<Counters, StoreError> {
    let late = |_| {
        let reason = format!("reading the change counter took more than {} s", FOLLOW_TIMEOUT.as_secs());
        StoreError::Unavailable(DatabaseTrouble::Slow, reason)
    };
    timeout(FOLLOW_TIMEOUT, store.read_counters()).await.map_err(late)?
}

impl KeySource for LiveRegistry {
    fn check_current(&self) -> Result<(), TokenFault> {
        self.check_fresh().map_err(|_| TokenFault::Stale)
    }

    fn find_key(&self, key_id: &KeyId) -> Option<Arc<VerifyingKey>> {
        self.current().keys.find_key(key_id)
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
        // By a token from before the end of a secret, an administrator's client could make itself another.
        let has_lost_secret = |client: &Client| client.has_lost_secret(claims.issued_at, self.clock.now());
        let is_administrative = known.api.is_some_and(access::is_own);
        if is_administrative && known.client.is_some_and(has_lost_secret) { Err(Ended::SecretEnded) } else { Ok(()) }
    }
}
