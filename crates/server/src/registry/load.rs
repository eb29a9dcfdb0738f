//! Updates a registry from the database: loads only what has changed or, if that is unknown or too much, everything.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use countersign_protocol::api::Api;
use countersign_protocol::audience::normalize;
use countersign_protocol::client::{Client, Credential};
use countersign_protocol::ids::ApiId;
use countersign_protocol::path_rule::PathRule;
use countersign_protocol::scope::Scope;
use countersign_protocol::user::{User, name_key};
use countersign_store::{BrokenRow, Entries, EntryKind, Ids, KeyRows, Load, StoreError, Stored, Touched};
use futures_util::future::join;
use tokio::task::{JoinError, spawn_blocking};

use crate::admin::own_api;
use crate::keys::error::KeyRingError;
use crate::keys::ring::KeyRing;
use crate::keys::sealing_files::HeldKeys;
use crate::keys::sealing_keys::SealingKeys;
use crate::registry::Registry;
use crate::registry::marks::Marks;

/// Up to this many changed objects are always loaded individually.
const FEW: usize = 1000;
/// How much longer it takes to load an object individually than as part of a page.
const ALONE: usize = 16;

/// A registry, and the sealing keys if they were loaded too.
pub(super) struct Loaded {
    pub(super) registry: Registry,
    pub(super) sealing_keys: Option<SealingKeys>,
    /// Where the database was copied to, if it was and the keys were loaded.
    pub(super) moved_to: Option<String>,
}

/// Loads the current registry, based on the previous one.
pub(super) async fn bring_up(previous: &Registry, load: &mut Load, held: &HeldKeys) -> Result<Loaded, KeyRingError> {
    match list_touched(previous, load).await? {
        Some(touched) => load_touched(previous, touched, load, held).await,
        None => load_everything(previous, load, held).await,
    }
}

/// Returns what has changed since the previous registry, by kind, or `None` if that is no longer known, or too much.
async fn list_touched(previous: &Registry, load: &mut Load) -> Result<Option<Vec<(EntryKind, Touched)>>, StoreError> {
    if previous.change == 0 || !load.reaches(previous.change) {
        return Ok(None);
    }
    let most = FEW.max((previous.clients.size() + previous.users.size()) / ALONE);
    let limit = i64::try_from(most + 1).unwrap_or(i64::MAX);
    let mut all = Vec::new();
    for kind in EntryKind::ALL {
        let touched = load.list_touched(kind, previous.change, limit).await?;
        if touched.deleted.len() > most || touched.changed.len() > most {
            return Ok(None);
        }
        all.push((kind, touched));
    }
    Ok(Some(all))
}

async fn load_touched(
    previous: &Registry,
    touched: Vec<(EntryKind, Touched)>,
    load: &mut Load,
    held: &HeldKeys,
) -> Result<Loaded, KeyRingError> {
    let mut building = Building::new(previous.clone(), previous);
    for (kind, Touched { deleted, changed }) in touched {
        for id in deleted {
            building.remove(kind, &id);
        }
        for id in changed {
            // It may be invalid now and left out.
            building.remove(kind, &id);
            building.put(load.fetch(kind, Ids::one(id)).await?.read()?);
        }
    }
    let keys = if load.has_newer_keys(previous.change) { Some(load.load_keys().await?) } else { None };
    building.finish(keys, load.counters().registry_change, held)
}

/// Loads everything, and only keeps what is expensive to create from the previous registry.
pub(super) async fn load_everything(
    previous: &Registry,
    load: &mut Load,
    held: &HeldKeys,
) -> Result<Loaded, KeyRingError> {
    let mut building = Building::new(Registry { keys: previous.keys.clone(), ..Registry::default() }, previous);
    for kind in EntryKind::ALL {
        let mut fetched = load.fetch_next(kind, "").await?;
        while let Some(page) = fetched {
            let last = page.last().to_owned();
            let reading = spawn_blocking(move || page.read());
            // While the database reads the next page.
            let putting = async {
                building.put(reading.await.map_err(lost)??);
                Ok::<_, StoreError>(())
            };
            let (next, put) = join(load.fetch_next(kind, &last), putting).await;
            put?;
            fetched = next?;
        }
    }
    let keys = load.load_keys().await?;
    building.finish(Some(keys), load.counters().registry_change, held)
}

/// Reading a page failed.
fn lost(error: JoinError) -> StoreError {
    StoreError::Refused(error.to_string())
}

/// Returns the fingerprint of the database, without the entries that a registry leaves out.
pub(super) async fn read_marks(registry: &Registry, load: &mut Load) -> Result<Marks, StoreError> {
    let mut marks = Marks::default();
    for kind in EntryKind::ALL {
        let mut page = load.find_page(kind, "").await?;
        while let Some(ids) = page {
            for (id, last_change) in load.list_marks(kind, &ids).await? {
                let entry = (kind, id);
                if !registry.left_out.contains(&entry) {
                    marks.add(kind, &entry.1, last_change);
                }
            }
            page = load.find_page(kind, ids.last()).await?;
        }
    }
    Ok(marks)
}

/// A registry that is being built, and the previous one.
struct Building<'p> {
    registry: Registry,
    previous: &'p Registry,
    /// The sets of scopes seen so far, because many clients share the same set.
    sets: HashSet<Scope>,
}

impl<'p> Building<'p> {
    fn new(registry: Registry, previous: &'p Registry) -> Self {
        Self { registry, previous, sets: HashSet::new() }
    }

    /// Replaces entries with those of a page.
    fn put(&mut self, (entries, broken): (Entries, Vec<BrokenRow>)) {
        match entries {
            Entries::Apis(apis) => apis.into_iter().for_each(|api| self.put_api(api)),
            Entries::Clients(clients) => clients.into_iter().for_each(|client| self.put_client(client)),
            Entries::Users(users) => users.into_iter().for_each(|user| self.put_user(user)),
        }
        for BrokenRow { kind, id, table, row } in broken {
            tracing::error!(table, row, "ignoring an invalid row and the object that it belongs to");
            self.registry.left_out.insert_mut((kind, id));
        }
    }

    fn remove(&mut self, kind: EntryKind, id: &str) {
        self.registry.left_out.remove_mut(&(kind, id.to_owned()));
        match kind {
            EntryKind::Api => self.remove_api(id),
            EntryKind::Client => self.remove_client(id),
            EntryKind::User => self.remove_user(id),
        }
    }

    fn put_api(&mut self, Stored { mut value, note, last_change }: Stored<Api>) {
        self.remove_api(value.id.as_str());
        keep_compiled_rules(&mut value, self.previous);
        let (id, audience) = (value.id.clone(), value.audience.to_string());
        self.registry.marks.add(EntryKind::Api, id.as_str(), last_change);
        let mut equivalent = self.registry.find_equivalent(&audience).to_vec();
        equivalent.push(id.clone());
        self.registry.api_ids_by_normal_audience.insert_mut(normalize(&audience), equivalent.into());
        self.registry.api_ids_by_audience.insert_mut(audience, id.clone());
        self.registry.apis.insert_mut(id, Arc::new(Stored { value: Arc::new(value), note, last_change }));
    }

    fn remove_api(&mut self, id: &str) {
        let Some(api) = self.registry.apis.get(id).cloned() else { return };
        self.registry.marks.take(EntryKind::Api, id, api.last_change);
        // An audience may have moved to another API.
        let audience = api.value.audience.as_str();
        if self.registry.api_ids_by_audience.get(audience).is_some_and(|owner| owner.as_str() == id) {
            self.registry.api_ids_by_audience.remove_mut(audience);
        }
        let others = self.registry.find_equivalent(audience).iter().filter(|other| other.as_str() != id);
        let others: Box<[ApiId]> = others.cloned().collect();
        if others.is_empty() {
            self.registry.api_ids_by_normal_audience.remove_mut(&normalize(audience));
        } else {
            self.registry.api_ids_by_normal_audience.insert_mut(normalize(audience), others);
        }
        self.registry.apis.remove_mut(id);
    }

    fn put_client(&mut self, Stored { value, note, last_change }: Stored<Client>) {
        self.remove_client(value.id.as_str());
        let client = self.pack(value);
        let id = client.id.clone();
        if client.find_entitlement(&own_api::api_id()).is_some() {
            self.registry.administrators.insert_mut(id.clone());
        }
        if client.credentials.iter().any(|credential: &Credential| credential.expires_at.is_some()) {
            self.registry.expiring.insert_mut(id.clone());
        }
        self.registry.marks.add(EntryKind::Client, id.as_str(), last_change);
        self.registry.clients.insert_mut(id, Arc::new(Stored { value: client, note, last_change }));
    }

    fn remove_client(&mut self, id: &str) {
        let Some(client) = self.registry.clients.get(id) else { return };
        self.registry.marks.take(EntryKind::Client, id, client.last_change);
        self.registry.administrators.remove_mut(id);
        self.registry.expiring.remove_mut(id);
        self.registry.clients.remove_mut(id);
    }

    fn put_user(&mut self, Stored { value, note, last_change }: Stored<User>) {
        let id = value.id.to_string();
        self.remove_user(&id);
        self.registry.marks.add(EntryKind::User, &id, last_change);
        self.registry.user_ids_by_login.insert_mut(name_key(value.login.as_str()), id.clone());
        self.registry.users.insert_mut(id, Arc::new(Stored { value: Arc::new(value), note, last_change }));
    }

    fn remove_user(&mut self, id: &str) {
        let Some(user) = self.registry.users.get(id).cloned() else { return };
        self.registry.marks.take(EntryKind::User, id, user.last_change);
        // A name may have moved to another user.
        let login = name_key(user.value.login.as_str());
        if self.registry.user_ids_by_login.get(&login).is_some_and(|owner| owner == id) {
            self.registry.user_ids_by_login.remove_mut(&login);
        }
        self.registry.users.remove_mut(id);
    }

    /// Returns the same client in as little memory as possible: no spare capacity, and shared values (IDs of APIs, sets
    /// of scopes) stored once. Ten thousand clients then fit better into the CPU's caches.
    fn pack(&mut self, mut client: Client) -> Client {
        for (id, entitlement) in &mut client.may_ask {
            if let Some((api_id, _)) = self.registry.apis.get_key_value(id.as_str()) {
                *id = api_id.clone();
            }
            if let Some(set) = self.sets.get(&entitlement.scopes) {
                entitlement.scopes = set.clone();
            } else {
                self.sets.insert(entitlement.scopes.clone());
            }
        }
        client.may_ask.shrink_to_fit();
        client.may_introspect.shrink_to_fit();
        client.credentials.shrink_to_fit();
        client
    }

    /// Returns the registry as of a change, with the keys if they were loaded too.
    fn finish(self, keys: Option<KeyRows>, change: i64, held: &HeldKeys) -> Result<Loaded, KeyRingError> {
        let mut registry = Registry { change, ..self.registry };
        let (mut sealing_keys, mut moved_to) = (None, None);
        if let Some(KeyRows { keys, sealing_keys: stored, playground, moved_to: elsewhere }) = keys {
            moved_to = elsewhere;
            let sealing = SealingKeys::build(held, &stored)?;
            registry.keys = Arc::new(KeyRing::build(&keys, &sealing, &self.previous.keys)?);
            registry.playground = Arc::new(playground);
            sealing_keys = Some(sealing);
        }
        registry.missing_keys = registry.keys.missing(registry.apis().map(|api| api.algorithm));
        Ok(Loaded { registry, sealing_keys, moved_to })
    }
}

/// Keeps the compiled rules of the previous registry, so that a change does not compile rules again.
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
