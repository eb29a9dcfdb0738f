//! The registry: everything that a token request needs, kept in memory (docs/adr/0001).

pub mod live;
mod load;
mod marks;

use std::sync::Arc;

use countersign_protocol::api::Api;
use countersign_protocol::audience::normalize;
use countersign_protocol::client::Client;
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::ids::{ApiId, ClientId};
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::refusal::Refusal;
use countersign_protocol::user::{User, name_key};
use countersign_store::{EntryKind, Note, PlaygroundSettings, Stored};
use rpds::{HashTrieMapSync, HashTrieSetSync};

use crate::keys::ring::KeyRing;

use marks::Marks;

/// The APIs, clients, users and keys as of one change. A registry is never changed, only replaced.
///
/// The maps are persistent: a new registry shares everything that has not changed with the previous one.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    change: i64,
    apis: HashTrieMapSync<ApiId, Arc<Stored<Arc<Api>>>>,
    api_ids_by_audience: HashTrieMapSync<String, ApiId>,
    /// Usually one. Older versions allowed APIs with equivalent audiences.
    api_ids_by_normal_audience: HashTrieMapSync<String, Box<[ApiId]>>,
    clients: HashTrieMapSync<ClientId, Arc<Stored<Client>>>,
    /// The clients that are entitled to `admin-api`.
    administrators: HashTrieSetSync<ClientId>,
    /// The clients with a secret that expires.
    expiring: HashTrieSetSync<ClientId>,
    users: HashTrieMapSync<String, Arc<Stored<Arc<User>>>>,
    user_ids_by_login: HashTrieMapSync<String, String>,
    marks: Marks,
    /// The rows that cannot be read.
    left_out: HashTrieSetSync<(EntryKind, String)>,
    keys: Arc<KeyRing>,
    missing_keys: Vec<Algorithm>,
    playground: Arc<PlaygroundSettings>,
}

impl Registry {
    /// Returns the number of the change that this registry reflects. Every token that is issued from it contains the
    /// number.
    pub(crate) fn change(&self) -> i64 {
        self.change
    }

    /// Returns the API with an ID.
    pub fn find_api(&self, id: &str) -> Option<&Arc<Api>> {
        self.apis.get(id).map(|api| &api.value)
    }

    /// Returns the API with exactly this audience.
    pub fn find_api_by_audience(&self, audience: &str) -> Option<&Arc<Api>> {
        self.find_api(self.api_ids_by_audience.get(audience)?.as_str())
    }

    /// Returns the APIs whose audience is equivalent to this one.
    pub(crate) fn find_equivalent(&self, audience: &str) -> &[ApiId] {
        self.api_ids_by_normal_audience.get(&normalize(audience)).map_or(&[], Box::as_ref)
    }

    /// Returns the API that a resource indicator means (RFC 8707 §2): the one with exactly this audience, or the only
    /// one with an equivalent audience.
    pub(crate) fn find_api_by_resource(&self, resource: &str) -> Option<&Arc<Api>> {
        self.find_api_by_audience(resource).or_else(|| match self.find_equivalent(resource) {
            [only] => self.find_api(only.as_str()),
            _ => None,
        })
    }

    /// Returns all APIs.
    pub fn apis(&self) -> impl Iterator<Item = &Api> {
        self.apis.values().map(|api| api.value.as_ref())
    }

    /// Returns the longest lifetime of an access token, in seconds.
    pub fn longest_lifetime_s(&self) -> i64 {
        self.apis().map(|api| api.access_token_lifetime_s).max().unwrap_or_default()
    }

    /// Returns the client with an ID.
    pub fn find_client(&self, id: &str) -> Option<&Client> {
        self.clients.get(id).map(|client| &client.value)
    }

    /// Returns the user with an ID.
    pub fn find_user(&self, id: &str) -> Option<&Arc<User>> {
        self.users.get(id).map(|user| &user.value)
    }

    /// Returns all clients.
    pub(crate) fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.values().map(|client| &client.value)
    }

    /// Returns the number of clients.
    pub(crate) fn client_count(&self) -> usize {
        self.clients.size()
    }

    /// Returns the clients that are entitled to `admin-api`.
    pub(crate) fn administrators(&self) -> impl Iterator<Item = &Client> {
        self.administrators.iter().filter_map(|id| self.find_client(id.as_str()))
    }

    /// Returns the clients with a secret that expires.
    pub(crate) fn expiring(&self) -> impl Iterator<Item = &Client> {
        self.expiring.iter().filter_map(|id| self.find_client(id.as_str()))
    }

    /// Returns all users.
    pub(crate) fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values().map(|user| user.value.as_ref())
    }

    /// Returns the user with a login name.
    pub fn find_user_by_login(&self, login: &str) -> Option<&Arc<User>> {
        self.find_user(self.user_ids_by_login.get(&name_key(login))?)
    }

    /// Returns the note of an API, a client or a user.
    pub(crate) fn find_note(&self, kind: EntryKind, id: &str) -> Option<&Note> {
        match kind {
            EntryKind::Api => self.apis.get(id).map(|api| &api.note),
            EntryKind::Client => self.clients.get(id).map(|client| &client.note),
            EntryKind::User => self.users.get(id).map(|user| &user.note),
        }
    }

    /// Returns the note of an API.
    pub(crate) fn note_of_api(&self, id: &str) -> Note {
        self.find_note(EntryKind::Api, id).cloned().unwrap_or_default()
    }

    /// Returns the note of a client.
    pub(crate) fn note_of_client(&self, id: &str) -> Note {
        self.find_note(EntryKind::Client, id).cloned().unwrap_or_default()
    }

    /// Returns the note of a user.
    pub(crate) fn note_of_user(&self, id: &str) -> Note {
        self.find_note(EntryKind::User, id).cloned().unwrap_or_default()
    }

    /// Returns the fingerprint of everything that is compared with the database.
    fn marks(&self) -> Marks {
        self.marks
    }

    /// Returns the settings of the playground.
    pub fn playground(&self) -> &PlaygroundSettings {
        &self.playground
    }

    /// Returns the signing keys.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Returns the algorithms in use that have no active key yet.
    pub fn missing_keys(&self) -> &[Algorithm] {
        &self.missing_keys
    }

    /// Returns the API in a tenant path.
    pub fn find_tenant(&self, id: &str) -> Result<&Arc<Api>, Refusal> {
        self.find_api(id).ok_or(Refusal::UnknownApiPath)
    }

    /// Returns the API that the `resource` parameters mean. The same one may be named twice.
    pub fn find_named(&self, resources: &[String]) -> Result<Option<&Arc<Api>>, Refusal> {
        let Some((first, others)) = resources.split_first() else {
            return Ok(None);
        };
        let found = self.find_api_by_resource(first);
        let id = |api: Option<&Arc<Api>>| api.map(|api| api.id.clone());
        if others.iter().any(|other| other != first && id(self.find_api_by_resource(other)) != id(found)) {
            return Err(Refusal::SeveralResources);
        }
        found.map(Some).ok_or(Refusal::UnknownResource)
    }

    /// Returns the only API that the client is entitled to with this grant, if the request names none.
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
