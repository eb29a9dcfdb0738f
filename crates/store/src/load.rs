//! Reads the registry from one snapshot: all of it in pages, or only what changed.

use countersign_protocol::api::Api;
use countersign_protocol::client::Client;
use countersign_protocol::user::User;
use sqlx::{Any, Row, Transaction};

use crate::apis::FetchedApis;
use crate::change_counter::Counters;
use crate::client_rows::FetchedClients;
use crate::database::Store;
use crate::entry::{EntryKind, Ids, Stored};
use crate::error::StoreError;
use crate::keys::StoredKey;
use crate::listing::{BrokenRow, Fetcher, Listing, Reader, Text};
use crate::playground::PlaygroundSettings;
use crate::reading::in_time;
use crate::sealing_keys::StoredSealingKeys;
use crate::statement::statements;

statements! {
    READ_COUNTERS = "SELECT change, registry_change, keys_change, forgotten_change FROM change_counter WHERE id = 1";
    NEXT_APIS = "SELECT CAST(MIN(id) AS TEXT), CAST(MAX(id) AS TEXT) \
         FROM (SELECT id FROM apis WHERE id > $1 ORDER BY id LIMIT $2) AS page";
    NEXT_CLIENTS = "SELECT CAST(MIN(id) AS TEXT), CAST(MAX(id) AS TEXT) \
         FROM (SELECT id FROM clients WHERE id > $1 ORDER BY id LIMIT $2) AS page";
    NEXT_USERS = "SELECT CAST(MIN(id) AS TEXT), CAST(MAX(id) AS TEXT) \
         FROM (SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2) AS page";
    TOUCHED_APIS = "SELECT id FROM apis WHERE last_change > $1 ORDER BY last_change LIMIT $2";
    TOUCHED_CLIENTS = "SELECT id FROM clients WHERE last_change > $1 ORDER BY last_change LIMIT $2";
    TOUCHED_USERS = "SELECT id FROM users WHERE last_change > $1 ORDER BY last_change LIMIT $2";
    DELETED_APIS = "SELECT id FROM deletions WHERE change > $1 AND kind = 'api' ORDER BY change LIMIT $2";
    DELETED_CLIENTS = "SELECT id FROM deletions WHERE change > $1 AND kind = 'client' ORDER BY change LIMIT $2";
    DELETED_USERS = "SELECT id FROM deletions WHERE change > $1 AND kind = 'user' ORDER BY change LIMIT $2";
}

const MARKS: Listing =
    Listing { table: "", columns: &[&["id"], &["last_change"]], bytes: None, id: "id", only: "", order: "id" };

/// The number of rows in a page: large enough to need few statements, small enough to hold in memory.
const PAGE_ROWS: i64 = 1000;

/// The IDs of one kind that were created, changed or deleted since a change.
#[derive(Debug, Default)]
pub struct Touched {
    /// Deleted, and possibly recreated.
    pub deleted: Vec<String>,
    /// Created or changed.
    pub changed: Vec<String>,
}

/// The keys and the playground's settings, which are loaded as a whole.
#[derive(Debug)]
pub struct KeyRows {
    /// Every signing key that is not retired.
    pub keys: Vec<StoredKey>,
    /// The sealing keys of those and other values.
    pub sealing_keys: StoredSealingKeys,
    /// The settings of the playground.
    pub playground: PlaygroundSettings,
    /// Where the database was moved to, if it was.
    pub moved_to: Option<String>,
}

/// A read in progress. It sees the snapshot from when it began.
#[derive(Debug)]
pub struct Load {
    snapshot: Transaction<'static, Any>,
    is_postgres: bool,
    counters: Counters,
    keys_change: i64,
    forgotten_change: i64,
}

impl Store {
    /// Begins to read the registry.
    pub async fn begin_load(&self) -> Result<Load, StoreError> {
        self.load_by(self.begin_snapshot().await?).await
    }

    /// The same for a long read, on a connection that the follower does not use.
    pub async fn begin_long_load(&self) -> Result<Load, StoreError> {
        self.load_by(self.begin_long_snapshot().await?).await
    }

    async fn load_by(&self, mut snapshot: Transaction<'static, Any>) -> Result<Load, StoreError> {
        let row = in_time("the change counter", sqlx::query(READ_COUNTERS).fetch_one(&mut *snapshot)).await?;
        let counters = Counters { change: row.try_get(0)?, registry_change: row.try_get(1)? };
        let (keys_change, forgotten_change) = (row.try_get(2)?, row.try_get(3)?);
        Ok(Load { snapshot, is_postgres: self.is_shared(), counters, keys_change, forgotten_change })
    }
}

impl Load {
    /// The change counters of this snapshot.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns whether every deletion since a change is still stored, and this database has made that change.
    pub fn reaches(&self, change: i64) -> bool {
        (self.forgotten_change..=self.counters.registry_change).contains(&change)
    }

    /// Returns whether the keys changed after a change.
    pub fn has_newer_keys(&self, change: i64) -> bool {
        self.keys_change > change
    }

    /// Lists what was touched after a change, at most `limit` deleted and `limit` changed IDs.
    pub async fn list_touched(&mut self, kind: EntryKind, since: i64, limit: i64) -> Result<Touched, StoreError> {
        let (deleted, changed) = match kind {
            EntryKind::Api => (DELETED_APIS, TOUCHED_APIS),
            EntryKind::Client => (DELETED_CLIENTS, TOUCHED_CLIENTS),
            EntryKind::User => (DELETED_USERS, TOUCHED_USERS),
        };
        Ok(Touched {
            deleted: self.list_ids(deleted, since, limit).await?,
            changed: self.list_ids(changed, since, limit).await?,
        })
    }

    async fn list_ids(&mut self, statement: &'static str, since: i64, limit: i64) -> Result<Vec<String>, StoreError> {
        let listing = sqlx::query(statement).bind(since).bind(limit).fetch_all(&mut *self.snapshot);
        let rows = in_time("what has changed", listing).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Finds the next page after an ID, which is empty for the first page. `None` after the last one.
    pub async fn find_page(&mut self, kind: EntryKind, after: &str) -> Result<Option<Ids>, StoreError> {
        let statement = match kind {
            EntryKind::Api => NEXT_APIS,
            EntryKind::Client => NEXT_CLIENTS,
            EntryKind::User => NEXT_USERS,
        };
        let finding = sqlx::query(statement).bind(after.to_owned()).bind(PAGE_ROWS).fetch_one(&mut *self.snapshot);
        let row = in_time(kind.table(), finding).await?;
        let (first, last): (Option<String>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        if last.as_deref() == Some(after) {
            // A blob sorts after all texts, so the paging would never get past it.
            return Err(StoreError::Broken { table: kind.table(), row: after.to_owned() });
        }
        Ok(first.zip(last).map(|(first, last)| Ids { first, last }))
    }

    /// Fetches the next page after an ID. `None` after the last one.
    pub async fn fetch_next(&mut self, kind: EntryKind, after: &str) -> Result<Option<Page>, StoreError> {
        match self.find_page(kind, after).await? {
            Some(ids) => self.fetch(kind, ids).await.map(Some),
            None => Ok(None),
        }
    }

    /// Fetches the entries with these IDs: users, APIs with their scopes, or clients with their credentials and entitlements.
    /// APIs and clients come with their removals.
    pub async fn fetch(&mut self, kind: EntryKind, ids: Ids) -> Result<Page, StoreError> {
        let mut from = self.fetcher();
        let fetched = match kind {
            EntryKind::Api => Fetched::Apis(crate::apis::fetch(&mut from, &ids).await?),
            EntryKind::Client => Fetched::Clients(crate::client_rows::fetch(&mut from, &ids).await?),
            EntryKind::User => Fetched::Users(crate::users::fetch(&mut from, &ids).await?),
        };
        Ok(Page { last: ids.last, kind, fetched })
    }

    /// Loads the keys, and what is stored with them.
    pub async fn load_keys(&mut self) -> Result<KeyRows, StoreError> {
        Ok(KeyRows {
            keys: crate::keys::load(&mut self.snapshot).await?,
            sealing_keys: crate::sealing_keys::load(&mut self.snapshot).await?,
            playground: crate::playground::load(&mut self.snapshot).await?,
            moved_to: crate::settings::find_moved_to(&mut self.snapshot).await?,
        })
    }

    /// Lists IDs with the changes that last touched them.
    pub async fn list_marks(&mut self, kind: EntryKind, ids: &Ids) -> Result<Vec<(String, i64)>, StoreError> {
        let fetched = self.fetcher().fetch(&Listing { table: kind.table(), ..MARKS }, ids).await?;
        Reader::new(kind).read(fetched, Some)
    }

    fn fetcher(&mut self) -> Fetcher<'_> {
        Fetcher { connection: &mut self.snapshot, is_postgres: self.is_postgres }
    }

    /// Ends the read.
    pub async fn finish(self) -> Result<(), StoreError> {
        Ok(self.snapshot.commit().await?)
    }
}

/// A fetched page. Parsing is separate, because it takes as long as fetching and does not need the database.
#[derive(Debug)]
pub struct Page {
    last: String,
    kind: EntryKind,
    fetched: Fetched,
}

#[derive(Debug)]
enum Fetched {
    Apis(FetchedApis),
    Clients(FetchedClients),
    Users(Text),
}

/// The parsed entries of a page.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Entries {
    Apis(Vec<Stored<Api>>),
    Clients(Vec<Stored<Client>>),
    Users(Vec<Stored<User>>),
}

impl Page {
    /// The last ID of the page.
    pub fn last(&self) -> &str {
        &self.last
    }

    /// Parses the page. Skips entries with an unreadable row, and returns those rows.
    pub fn read(self) -> Result<(Entries, Vec<BrokenRow>), StoreError> {
        let mut reader = Reader::new(self.kind);
        let entries = match self.fetched {
            Fetched::Apis(fetched) => Entries::Apis(fetched.read(&mut reader)?),
            Fetched::Clients(fetched) => Entries::Clients(fetched.read(&mut reader)?),
            Fetched::Users(fetched) => Entries::Users(crate::users::read(fetched, &mut reader)?),
        };
        Ok((entries, reader.broken))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::database::tests::fresh;

    /// One row of each table of the registry, as if written by hand.
    const ROWS: &str = "
        INSERT INTO apis (id, audience, name, grants, access_token_lifetime_s, algorithm, refresh_idle_s, refresh_absolute_s)
            VALUES ('billing', 'https://b.example', 'B', 'password', 60, 'ES256', 60, 60);
        INSERT INTO scopes (api_id, name, description, rules, is_default) VALUES ('billing', 'read', '', '', 0);
        INSERT INTO clients (id, name, owner, auth_methods, status, epoch)
            VALUES ('job', 'Job', '', 'client_secret_basic', 'active', 2);
        INSERT INTO credentials (id, client_id, label, secret_hash, not_before) VALUES ('c', 'job', '', HASH, 0);
        INSERT INTO entitlements (client_id, api_id, kind, scopes, grants) VALUES ('job', 'billing', 'ask', '', '');
        INSERT INTO removals (client_id, api_id, kind, name, change, expires_at) VALUES ('job', 'billing', 'scope', 'x', 1, 9);
        INSERT INTO users (id, login, login_key, password_hash, roles, status, epoch)
            VALUES ('usr_1', 'Ada', 'ada', 'x', '', 'active', 3);
        INSERT INTO second_factors (id, user_id, kind, sealed_seed, created_at) VALUES ('f', 'usr_1', 'totp', HASH, 5);
        INSERT INTO signing_keys (id, algorithm, state, sealed_pkcs8, created_at) VALUES ('k', 'ES256', 'active', HASH, 1);
        INSERT INTO previous_sealing_keys (last_audit_sequence, ended_at, sealed_audit_key) VALUES (1, 1, HASH);
        INSERT INTO settings (name, value) VALUES ('sealing_key_check', 'x')";

    /// Statements, and what each of them touches.
    const TOUCHING: [(&str, &str); 26] = [
        (
            "INSERT INTO scopes (api_id, name, description, rules, is_default) VALUES ('billing', 'w', '', '', 0)",
            "+billing",
        ),
        ("UPDATE scopes SET rules = 'x' WHERE name = 'w'", "+billing"),
        ("DELETE FROM scopes WHERE name = 'w'", "+billing"),
        (
            "INSERT INTO credentials (id, client_id, label, secret_hash, not_before) VALUES ('d', 'job', '', HASH, 0)",
            "+job",
        ),
        ("UPDATE credentials SET expires_at = 5 WHERE id = 'd'", "+job"),
        ("DELETE FROM credentials WHERE id = 'd'", "+job"),
        ("UPDATE clients SET status = 'disabled'", "+job"),
        ("UPDATE entitlements SET scopes = 'read'", "+job"),
        ("DELETE FROM entitlements", "+job"),
        (
            "INSERT INTO entitlements (client_id, api_id, kind, scopes, grants) VALUES ('job', 'billing', 'ask', '', '')",
            "+job",
        ),
        (
            "INSERT INTO removals (client_id, api_id, kind, name, change, expires_at) VALUES ('', 'billing', 'grant', 'x', 1, 9)",
            "+billing",
        ),
        ("DELETE FROM removals WHERE client_id = ''", "+billing"),
        ("DELETE FROM removals", "+job"),
        ("UPDATE users SET login = 'Grace'", "+usr_1"),
        ("DELETE FROM second_factors", "+usr_1"),
        ("UPDATE users SET id = 'usr_2'", "-usr_1 +usr_2"),
        ("UPDATE users SET id = 'usr_1'", "-usr_2 +usr_1"),
        (
            "INSERT INTO second_factors (id, user_id, kind, sealed_seed, created_at) VALUES ('f', 'usr_1', 'totp', HASH, 5)",
            "+usr_1",
        ),
        ("UPDATE second_factors SET last_step = 9", ""),
        ("UPDATE signing_keys SET state = 'retiring'", "keys"),
        ("DELETE FROM signing_keys", "keys"),
        ("UPDATE playground_settings SET version = 2", "keys"),
        ("UPDATE settings SET value = 'y'", "keys"),
        ("INSERT INTO settings (name, value) VALUES ('anything', 'else')", ""),
        ("DELETE FROM apis", "-billing +job"),
        ("DELETE FROM clients", "-job"),
    ];

    /// The columns of each table that are not loaded.
    const NOT_LOADED: [(&str, &[&str]); 11] = [
        ("apis", &["issued_until", "last_change"]),
        ("scopes", &[]),
        ("clients", &["last_change", "rotated_at"]),
        ("credentials", &["created_at"]),
        ("entitlements", &["given_at"]),
        ("removals", &["expires_at"]),
        ("users", &["last_change", "login_key", "password_hash"]),
        ("second_factors", &["created_at", "id", "kind", "last_step", "sealed_seed"]),
        ("signing_keys", &[]),
        ("previous_sealing_keys", &[]),
        ("playground_settings", &[]),
    ];

    async fn run(store: &Store, statement: &str) {
        let zeros = "00".repeat(32);
        let hash = if store.is_shared() { format!("decode('{zeros}', 'hex')") } else { format!("x'{zeros}'") };
        for statement in statement.replace("HASH", &hash).split(';') {
            let mut transaction = store.begin_write().await.expect("begins");
            let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut *transaction).await;
            assert!(done.is_ok(), "{statement}: {done:?}");
            transaction.commit().await.expect("commits");
        }
    }

    /// What a node sees that has read everything up to `since`.
    async fn touched(store: &Store, since: i64) -> String {
        let mut load = store.begin_load().await.expect("begins");
        let mut all = BTreeSet::new();
        for kind in EntryKind::ALL {
            let Touched { deleted, changed } = load.list_touched(kind, since, 10).await.expect("reads");
            all.extend(deleted.iter().map(|id| format!("-{id}")));
            all.extend(changed.iter().map(|id| format!("+{id}")));
        }
        all.extend(load.has_newer_keys(since).then(|| "keys".to_owned()));
        assert!(load.reaches(since));
        all.into_iter().rev().collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn writing_a_row_by_hand_touches_its_owner() {
        let (_database, url) = fresh();
        let store = Store::open(&url).await.expect("opens");
        let before = store.read_counters().await.expect("reads");
        run(&store, ROWS).await;
        assert_eq!(touched(&store, before.registry_change).await, "keys +usr_1 +job +billing");
        for (statement, expected) in TOUCHING {
            let before = store.read_counters().await.expect("reads");
            run(&store, statement).await;
            let after = store.read_counters().await.expect("reads");
            assert_eq!(touched(&store, before.registry_change).await, expected, "{statement}");
            assert_eq!(after.registry_change > before.registry_change, !expected.is_empty(), "{statement}");
            assert_eq!(after.change > before.change, !expected.is_empty(), "{statement}");
        }
    }

    #[tokio::test]
    async fn only_loaded_columns_raise_the_change_counter() {
        let (_database, url) = fresh();
        let store = Store::open(&url).await.expect("opens");
        run(&store, ROWS).await;
        let statement = if store.is_shared() {
            "SELECT CAST(column_name AS TEXT) FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1"
        } else {
            "SELECT name FROM pragma_table_info($1)"
        };
        for (table, not_loaded) in NOT_LOADED {
            let columns = sqlx::query(statement).bind(table).fetch_all(store.reader()).await.expect("reads");
            assert!(columns.len() > 2, "{table}");
            for column in columns.iter().map(|row| row.try_get::<String, _>(0).expect("a name")) {
                let before = store.read_counters().await.expect("reads").registry_change;
                run(&store, &format!("UPDATE {table} SET {column} = {column}")).await;
                let is_raised = store.read_counters().await.expect("reads").registry_change > before;
                assert_eq!(is_raised, !not_loaded.contains(&column.as_str()), "{table}.{column}");
            }
        }
    }

    #[tokio::test]
    async fn a_node_behind_forgotten_deletions_must_load_everything() {
        let (_database, url) = fresh();
        let store = Store::open(&url).await.expect("opens");
        run(&store, ROWS).await;
        let before = store.read_counters().await.expect("reads").registry_change;
        run(&store, "DELETE FROM clients").await;
        let after = store.read_counters().await.expect("reads").registry_change;
        assert_eq!(store.forget_deletions(0).await.expect("deletes"), 0);
        assert_eq!(store.forget_deletions(i64::MAX).await.expect("deletes"), 1);
        let load = store.begin_load().await.expect("begins");
        assert!(!load.reaches(before) && load.reaches(after) && !load.reaches(after + 1));
    }
}
