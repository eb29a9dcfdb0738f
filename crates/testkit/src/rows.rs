//! Everything that a registry is built from, at once: for stories whose databases are small.

use countersign_protocol::api::Api;
use countersign_protocol::client::Client;
use countersign_protocol::user::User;
use countersign_store::{Counters, EntryKind, KeyRows, Store, Stored};

/// Every row, as of one moment.
#[derive(Debug)]
pub struct Rows {
    /// The change counters of that moment.
    pub counters: Counters,
    /// Every API.
    pub apis: Vec<Stored<Api>>,
    /// Every client.
    pub clients: Vec<Stored<Client>>,
    /// Every user.
    pub users: Vec<Stored<User>>,
    /// The keys, and what is loaded with them.
    pub keys: KeyRows,
}

/// Reads them.
pub async fn load_rows(store: &Store) -> Rows {
    let mut load = store.begin_load().await.expect("a snapshot");
    let (mut apis, mut clients, mut users) = (Vec::new(), Vec::new(), Vec::new());
    for kind in EntryKind::ALL {
        let mut page = load.find_page(kind, "").await.expect("a page");
        while let Some(ids) = page {
            match kind {
                EntryKind::Api => apis.extend(load.load_apis(&ids).await.expect("APIs")),
                EntryKind::Client => clients.extend(load.load_clients(&ids).await.expect("clients")),
                EntryKind::User => users.extend(load.load_users(&ids).await.expect("users")),
            }
            page = load.find_page(kind, ids.last()).await.expect("a page");
        }
    }
    let keys = load.load_keys().await.expect("keys");
    let counters = load.counters();
    load.finish().await.expect("ends");
    Rows { counters, apis, clients, users, keys }
}
