//! Reads the whole registry at once, for stories with small databases.

use countersign_protocol::api::Api;
use countersign_protocol::client::Client;
use countersign_protocol::user::User;
use countersign_store::{Counters, Entries, EntryKind, KeyRows, Store, Stored};

/// The whole registry, from one snapshot.
#[derive(Debug)]
pub struct Rows {
    /// The change counters of the snapshot.
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

/// Loads the whole registry.
pub async fn load_rows(store: &Store) -> Rows {
    let mut load = store.begin_load().await.expect("a snapshot");
    let (mut apis, mut clients, mut users) = (Vec::new(), Vec::new(), Vec::new());
    for kind in EntryKind::ALL {
        let mut fetched = load.fetch_next(kind, "").await.expect("a page");
        while let Some(page) = fetched {
            let last = page.last().to_owned();
            match page.read().expect("can be parsed").0 {
                Entries::Apis(more) => apis.extend(more),
                Entries::Clients(more) => clients.extend(more),
                Entries::Users(more) => users.extend(more),
            }
            fetched = load.fetch_next(kind, &last).await.expect("a page");
        }
    }
    let keys = load.load_keys().await.expect("keys");
    let counters = load.counters();
    load.finish().await.expect("ends");
    Rows { counters, apis, clients, users, keys }
}
