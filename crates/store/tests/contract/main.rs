//! What every engine must do. A run tests one of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot continue has failed")]

mod changes;
mod conflicts;
mod failures;
mod group_commit;
mod identity;
mod nodes;
mod people;
mod refresh_tokens;
mod registry;
mod revocations;
mod uses;
mod words;

use countersign_store::{DatabaseUrl, Store};
use countersign_testkit::TestDatabase;

/// A fresh database, which is removed when this is dropped.
struct Fresh {
    store: Store,
    url: DatabaseUrl,
    database: TestDatabase,
}

impl Fresh {
    /// Its URL, for PostgreSQL only.
    fn text(&self) -> &str {
        self.database.url.as_deref().unwrap()
    }
}

async fn fresh() -> Fresh {
    let (database, url) = empty();
    let store = Store::open(&url).await.expect("opens");
    Fresh { store, url, database }
}

/// A database that was never opened.
fn empty() -> (TestDatabase, DatabaseUrl) {
    let database = TestDatabase::fresh();
    let url = match &database.url {
        Some(url) => DatabaseUrl::parse(url),
        None => DatabaseUrl::sqlite_in(database.directory.path()),
    };
    (database, url.expect("a URL"))
}
