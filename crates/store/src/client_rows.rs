//! Clients as the registry reads them: in pages, with their credentials and entitlements.

use std::collections::HashMap;

use countersign_protocol::UnixTime;
use countersign_protocol::client::{
    Client, ClientAuthMethod, Credential, Credentials, Entitlement, MayAsk, TokenLimits,
};
use countersign_protocol::ids::{ApiId, ClientId};
use countersign_protocol::scope::Scope;
use countersign_protocol::scope_token::ScopeToken;
use countersign_protocol::secret::SecretHash;
use countersign_protocol::status::Status;

use crate::entry::{Beside, Ids, Stored};
use crate::error::StoreError;
use crate::list_column::{read_grants, words};
use crate::listing::{Bytes, Fetcher, Listing, Reader, Text};
use crate::removals;

const CLIENTS: Listing = Listing {
    table: "clients",
    columns: &[
        &["id"],
        &["name"],
        &["auth_methods"],
        &["status"],
        &["epoch"],
        &["tokens_per_minute"],
        &["tokens_per_day"],
        &["created_change", "created_at", "owner", "last_change"],
    ],
    bytes: None,
    id: "id",
    only: "",
    order: "id",
};
const CREDENTIALS: Listing = Listing {
    table: "credentials",
    columns: &[&["client_id"], &["id"], &["label"], &["not_before"], &["expires_at"]],
    bytes: Some("secret_hash"),
    id: "client_id",
    only: "",
    order: "created_change, id",
};
const ENTITLEMENTS: Listing = Listing {
    table: "entitlements",
    columns: &[&["client_id"], &["api_id"], &["kind"], &["scopes"], &["grants"]],
    bytes: None,
    id: "client_id",
    only: "",
    order: "client_id, api_id",
};

/// ID, name, methods, status, epoch, and the token limits per minute and per day.
type ClientRow = (String, String, String, String, i64, Option<i64>, Option<i64>, Beside);
/// Client, ID, label, start, expiry, secret hash.
type CredentialRow = (String, String, String, UnixTime, Option<UnixTime>, Bytes);
/// Client, API, kind, scopes, grants.
type EntitlementRow = (String, String, String, String, String);

pub(crate) const ASK: &str = "ask";
pub(crate) const INTROSPECT: &str = "introspect";

/// Fetched rows of clients, with their credentials, entitlements and removals.
#[derive(Debug)]
pub(crate) struct FetchedClients {
    clients: Text,
    credentials: Text,
    entitlements: Text,
    removals: Text,
}

pub(crate) async fn fetch(from: &mut Fetcher<'_>, ids: &Ids) -> Result<FetchedClients, StoreError> {
    Ok(FetchedClients {
        clients: from.fetch(&CLIENTS, ids).await?,
        credentials: from.fetch(&CREDENTIALS, ids).await?,
        entitlements: from.fetch(&ENTITLEMENTS, ids).await?,
        removals: from.fetch(&removals::OF_CLIENTS, ids).await?,
    })
}

impl FetchedClients {
    pub(crate) fn read(self, reader: &mut Reader) -> Result<Vec<Stored<Client>>, StoreError> {
        let clients = reader.read(self.clients, read_client)?;
        let places = clients.iter().enumerate().map(|(place, client)| (client.value.id.clone(), place)).collect();
        let mut page = Page { clients, places };
        for (client, credential) in reader.read(self.credentials, read_credential)? {
            if let Some(client) = page.find(&client) {
                client.credentials.push(credential);
            }
        }
        for (client, entitled) in reader.read(self.entitlements, read_entitled)? {
            match (page.find(&client), entitled) {
                (Some(client), Entitled::Ask(api, what)) => client.may_ask.push((api, what)),
                (Some(client), Entitled::Introspect(api)) => client.may_introspect.push(api),
                (None, _) => {}
            }
        }
        for (client, removals) in removals::read(self.removals, reader)? {
            if let Some(client) = page.find(&client) {
                client.removals = removals.into();
            }
        }
        Ok(reader.without_broken(page.clients, |client| client.id.as_str()))
    }
}

/// Clients, with an index by ID.
struct Page {
    clients: Vec<Stored<Client>>,
    places: HashMap<ClientId, usize>,
}

impl Page {
    /// Returns the client with this ID. `None` if a row has lost its owner.
    fn find(&mut self, id: &str) -> Option<&mut Client> {
        let place = *self.places.get(id)?;
        self.clients.get_mut(place).map(|client| &mut client.value)
    }
}

fn read_client(row: ClientRow) -> Option<Stored<Client>> {
    let (id, name, auth_methods, status, epoch, per_minute, per_day, beside) = row;
    let limits = TokenLimits { per_minute, per_day };
    let client = Client {
        id: ClientId::parse(&id)?,
        name,
        auth_methods: words(&auth_methods).map(ClientAuthMethod::parse).collect::<Option<_>>()?,
        credentials: Credentials::new(),
        may_ask: MayAsk::new(),
        may_introspect: Vec::new(),
        limits: (limits != TokenLimits::default()).then(|| Box::new(limits)),
        status: Status::parse(&status)?,
        epoch,
        removals: Box::default(),
    };
    Some(Stored::new(client, beside))
}

fn read_credential(row: CredentialRow) -> Option<(String, Credential)> {
    let (client, id, label, not_before, expires_at, hash) = row;
    let secret_hash = SecretHash::from_bytes(&hash.0)?;
    Some((client, Credential { id, label, secret_hash, not_before, expires_at }))
}

/// What a client may do with an API.
enum Entitled {
    Ask(ApiId, Entitlement),
    Introspect(ApiId),
}

fn read_entitled((client, api, kind, scopes, grants): EntitlementRow) -> Option<(String, Entitled)> {
    let api = ApiId::parse(&api)?;
    let entitled = match kind.as_str() {
        ASK => Entitled::Ask(api, read_entitlement(&scopes, &grants)?),
        INTROSPECT => Entitled::Introspect(api),
        _ => return None,
    };
    Some((client, entitled))
}

/// Parses the columns of an entitlement.
pub(crate) fn read_entitlement(scopes: &str, grants: &str) -> Option<Entitlement> {
    let scopes = words(scopes).map(ScopeToken::parse).collect::<Option<Scope>>()?;
    Some(Entitlement { scopes, grants: read_grants(grants)? })
}
