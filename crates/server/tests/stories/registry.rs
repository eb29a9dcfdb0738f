//! A node uses what is in the database, no matter who wrote it, and reads only what has changed.

use countersign_protocol::jose::jws::UnverifiedJwt;
use countersign_protocol::secret::{CLIENT_SECRET_PREFIX, Secret};
use countersign_server::background::{clean_up, compare_registry, follow_changes};
use countersign_testkit::{Options, TestServer, engine_is_postgres};
use serde_json::json;

/// A secret that was not created through the server.
fn secret() -> Secret {
    Secret::from_random(CLIENT_SECRET_PREFIX, &[9; 32])
}

/// Statements that register the clients from `first` to `last`, as if typed at the database prompt.
fn register(first: usize, last: usize) -> String {
    let hash: String = secret().hash().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = if engine_is_postgres() { format!("decode('{hash}', 'hex')") } else { format!("x'{hash}'") };
    let numbers = format!("WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})");
    format!(
        "INSERT INTO clients (id, name, owner, auth_methods, status, epoch) {numbers} \
         SELECT 'hand-' || i, 'Job', '', 'client_secret_basic', 'active', 0 FROM n;
         INSERT INTO credentials (id, client_id, label, secret_hash, not_before) {numbers} \
         SELECT 'hand-cred-' || i, 'hand-' || i, '', {hash}, 0 FROM n;
         INSERT INTO entitlements (client_id, api_id, kind, scopes, grants) {numbers} \
         SELECT 'hand-' || i, 'oauthclient', 'ask', 'all', 'client_credentials' FROM n"
    )
}

/// Requests a token as a client that was registered by hand.
async fn status(server: &TestServer, client: usize) -> u16 {
    let actor = server.actor(&format!("hand-{client}"), secret().expose());
    actor.token(&[("grant_type", "client_credentials"), ("scope", "all")]).await.status
}

/// The same for six of them, after the node has read the changes.
async fn statuses(server: &TestServer) -> [u16; 6] {
    follow_changes::run_once(&server.state).await;
    let mut all = [0; 6];
    for (client, seen) in (1..).zip(&mut all) {
        *seen = status(server, client).await;
    }
    all
}

#[tokio::test]
async fn rows_written_by_hand_take_effect_at_the_next_read() {
    let server = TestServer::start().await;
    assert_eq!(status(&server, 1).await, 401);
    server.tamper(&register(1, 2));
    follow_changes::run_once(&server.state).await;
    assert_eq!((status(&server, 1).await, status(&server, 2).await, status(&server, 3).await), (200, 200, 401));
    server.tamper("UPDATE credentials SET expires_at = 1 WHERE client_id = 'hand-1'");
    server.tamper("UPDATE entitlements SET scopes = '' WHERE client_id = 'hand-2'");
    follow_changes::run_once(&server.state).await;
    assert_eq!((status(&server, 1).await, status(&server, 2).await), (401, 400));
    server.tamper("UPDATE credentials SET expires_at = NULL; DELETE FROM clients WHERE id = 'hand-2'");
    follow_changes::run_once(&server.state).await;
    assert_eq!((status(&server, 1).await, status(&server, 2).await), (200, 401));
}

#[tokio::test]
async fn a_node_that_is_far_behind_or_missed_a_deletion_catches_up() {
    let server = TestServer::start().await;
    server.tamper(&register(1, 2500));
    follow_changes::run_once(&server.state).await;
    assert_eq!((status(&server, 1).await, status(&server, 2500).await), (200, 200));
    server.tamper("DELETE FROM clients WHERE id = 'hand-7'");
    // Deleted so long ago that the deletion is forgotten.
    server.tamper("UPDATE deletions SET deleted_at = 0");
    clean_up::run_once(&server.state).await;
    assert_eq!(status(&server, 7).await, 200, "this node has not read it yet");
    follow_changes::run_once(&server.state).await;
    assert_eq!((status(&server, 7).await, status(&server, 8).await), (401, 200));
    server.tamper("DELETE FROM clients WHERE id LIKE 'hand-1%' AND id <> 'hand-1'");
    follow_changes::run_once(&server.state).await;
    assert_eq!((status(&server, 1).await, status(&server, 1999).await, status(&server, 2000).await), (200, 401, 200));
}

#[tokio::test]
async fn a_node_ahead_of_its_database_reloads_everything() {
    let server = TestServer::start().await;
    server.tamper(&register(1, 1));
    follow_changes::run_once(&server.state).await;
    // As if the database was reset to an earlier time.
    server.tamper("DELETE FROM clients WHERE id = 'hand-1'; DELETE FROM deletions");
    server.tamper("UPDATE change_counter SET change = 3, registry_change = 3, forgotten_change = 0");
    follow_changes::run_once(&server.state).await;
    assert_eq!(status(&server, 1).await, 401);
    assert_eq!(server.demo_service().client_credentials("all").await.status, 200);
}

#[tokio::test]
async fn a_change_without_a_change_number_is_found_by_the_comparison() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let known = async || operator.call("GET", "/clients/silent", None, &[]).await.status;
    assert!(server.state.registry.compare(&server.state.store).await.unwrap());
    server.tamper(if engine_is_postgres() {
        "ALTER TABLE clients DISABLE TRIGGER USER"
    } else {
        "DROP TRIGGER clients_inserted"
    });
    server.tamper(
        "INSERT INTO clients (id, name, owner, auth_methods, status, epoch) \
         VALUES ('silent', 'Job', '', 'client_secret_basic', 'active', 0)",
    );
    follow_changes::run_once(&server.state).await;
    assert_eq!(known().await, 404);
    compare_registry::run_once(&server.state).await;
    assert_eq!(known().await, 200);
    assert!(server.state.registry.compare(&server.state.store).await.unwrap(), "both are equal again");
    assert_eq!(server.demo_service().client_credentials("all").await.status, 200);
}

#[tokio::test]
async fn an_unreadable_row_only_excludes_its_owner() {
    let server = TestServer::start().await;
    server.tamper(&register(1, 6));
    follow_changes::run_once(&server.state).await;
    let short = if engine_is_postgres() { "decode('00', 'hex')" } else { "x'00'" };
    server.tamper(&format!(
        "UPDATE clients SET auth_methods = 'by_word_of_mouth' WHERE id = 'hand-1';
         UPDATE credentials SET secret_hash = {short} WHERE client_id = 'hand-2';
         UPDATE entitlements SET grants = 'implicit' WHERE client_id = 'hand-3';
         INSERT INTO removals (client_id, api_id, kind, name, change, expires_at) \
         VALUES ('hand-4', 'oauthclient', 'mood', 'x', 1, 9999999999);
         UPDATE clients SET name = '\"quoted\" and back\\slashed' WHERE id = 'hand-5'"
    ));
    assert_eq!(statuses(&server).await, [401, 401, 401, 401, 200, 200]);
    let server = server.restart().await;
    assert_eq!(statuses(&server).await, [401, 401, 401, 401, 200, 200]);
    assert!(server.state.registry.compare(&server.state.store).await.unwrap(), "the excluded entry is reported");
    server.tamper(
        "UPDATE clients SET auth_methods = 'client_secret_basic' WHERE id = 'hand-1';
         UPDATE entitlements SET grants = 'client_credentials' WHERE client_id = 'hand-3';
         DELETE FROM removals WHERE kind = 'mood'; DELETE FROM clients WHERE id = 'hand-2'",
    );
    assert_eq!(statuses(&server).await, [200, 401, 200, 200, 200, 200]);
    assert!(server.state.registry.compare(&server.state.store).await.unwrap());
}

#[tokio::test]
async fn a_text_in_a_number_column_excludes_its_row_on_sqlite() {
    let server = TestServer::start().await;
    server.tamper(&register(1, 2));
    server.tamper("UPDATE clients SET tokens_per_day = 'many' WHERE id = 'hand-1'");
    follow_changes::run_once(&server.state).await;
    assert_eq!((status(&server, 1).await, status(&server, 2).await), (401, 200));
}

#[tokio::test]
async fn rows_replaced_by_hand_no_longer_work_on_sqlite() {
    let server = TestServer::start().await;
    server.tamper(&register(1, 3));
    assert_eq!(statuses(&server).await[..3], [200, 200, 200]);
    // A secret of the first client becomes one of the second. An API takes another one's audience.
    server.tamper(
        "REPLACE INTO credentials (id, client_id, label, secret_hash, not_before) \
         SELECT id, 'hand-2', label, secret_hash, 0 FROM credentials WHERE id = 'hand-cred-1';
         REPLACE INTO apis (id, audience, name, grants, access_token_lifetime_s, algorithm, refresh_idle_s, \
         refresh_absolute_s) SELECT 'heir', audience, 'Heir', grants, 60, 'ES256', 60, 60 FROM apis WHERE id = 'oauthclient'",
    );
    assert_eq!(statuses(&server).await[..2], [401, 400]);
    let operator = server.operator().await;
    assert_eq!(operator.call("GET", "/apis/oauthclient", None, &[]).await.status, 404);
    assert_eq!(operator.call("GET", "/apis/heir", None, &[]).await.status, 200);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn emptying_a_table_affects_every_node() {
    let first = TestServer::start().await;
    let second = first.second_node().await;
    first.tamper(&register(1, 1));
    assert_eq!((statuses(&first).await[0], statuses(&second).await[0]), (200, 200));
    first.tamper("TRUNCATE credentials CASCADE");
    assert_eq!((statuses(&first).await[0], statuses(&second).await[0]), (401, 401));
}

#[tokio::test]
async fn a_name_used_by_hand_is_reserved_until_its_owner_is_deleted() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.tamper(&register(1, 1));
    let user = json!({ "login": "HAND-1", "password": "a long enough password of words" });
    let made = operator.call("POST", "/users", Some(&user), &[]).await;
    assert_eq!(made.status, 409, "{made}");
    server.tamper("DELETE FROM clients WHERE id = 'hand-1'");
    assert_eq!(operator.call("POST", "/users", Some(&user), &[]).await.status, 201);
}

#[tokio::test]
async fn blobs_in_text_columns_are_refused_or_skipped_on_sqlite() {
    let server = TestServer::start().await;
    server.tamper(&register(1, 2));
    server.tamper("UPDATE clients SET name = x'ff00' WHERE id = 'hand-1'");
    server.tamper("UPDATE clients SET name = CAST(x'ff41' AS TEXT) WHERE id = 'hand-2'");
    assert_eq!(statuses(&server).await[..2], [401, 200]);
}

#[tokio::test]
async fn a_revocation_reaches_a_node_that_was_ahead_of_its_database() {
    let server = TestServer::start().await;
    let token = server.demo_service().client_credentials("all").await.text("access_token");
    let jwt = UnverifiedJwt::parse(&token).unwrap();
    let id = jwt.claims()["jti"].as_str().unwrap();
    // As if the database was reset to an earlier time, and another node has continued from there.
    server.tamper("UPDATE change_counter SET change = change - 2, registry_change = registry_change - 2");
    server.tamper(&format!(
        "UPDATE change_counter SET change = change + 1;
         INSERT INTO revocations (kind, id, expires_at, change) \
         SELECT 'token', '{id}', 9999999999, change FROM change_counter"
    ));
    follow_changes::run_once(&server.state).await;
    assert_eq!(server.demo_service().call("GET", "/resource/whoami", &token).await.status, 401);
}

#[tokio::test]
async fn a_node_that_was_paused_while_its_database_was_moved_stops_using_it() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let token = service.client_credentials("all").await.text("access_token");
    // What `migrate` does last. A node that does not respond for 5 s counts as stopped.
    let held = server.state.store.hold_writes().await.unwrap();
    held.mark_moved("postgres://elsewhere/x").await.unwrap();
    server.follow().await;
    let refused = service.revoke(&token).await;
    assert_eq!(refused.refusal(), (503, "temporarily_unavailable".to_owned()), "the copy would not contain it");
    server.advance_clock_alone(11);
    server.follow().await;
    let refused = service.token(&[("grant_type", "client_credentials")]).await;
    assert_eq!(refused.refusal(), (503, "temporarily_unavailable".to_owned()));
    assert_eq!(server.stranger().get("/readyz").await.status, 503);
}

/// Asserts that a server whose database is another one writes nothing, and soon refuses everything.
async fn assert_stops(server: &TestServer) {
    let service = server.demo_service();
    let token = service.client_credentials("all").await.text("access_token");
    server.follow().await;
    let refused = service.revoke(&token).await;
    assert_eq!(refused.refusal(), (503, "temporarily_unavailable".to_owned()));
    server.advance_clock_alone(11);
    server.follow().await;
    assert_eq!(server.stranger().get("/readyz").await.status, 503);
    assert_eq!(service.token(&[("grant_type", "client_credentials")]).await.status, 503);
}

/// Asserts that a server uses its database again.
async fn assert_goes_on(server: &TestServer) {
    // A connection that could not be made is tried again after a while.
    for _ in 0..10 {
        server.follow().await;
    }
    let service = server.demo_service();
    let token = service.client_credentials("all").await.text("access_token");
    assert_eq!(service.revoke(&token).await.status, 200);
}

#[tokio::test]
async fn a_server_stops_using_a_database_that_was_replaced() {
    let server = TestServer::start().await;
    server.tamper("UPDATE identity SET id = 'not-' || id");
    assert_stops(&server).await;
    server.tamper("UPDATE identity SET id = SUBSTR(id, 5)");
    assert_goes_on(&server).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_server_stops_using_a_url_that_leads_to_another_database() {
    let (server, options) = (TestServer::start().await, Options { seed: 1 << 32, ..Options::default() });
    let other = TestServer::start_with(options).await;
    server.swap_databases(&other);
    assert_stops(&server).await;
    server.swap_databases(&other);
    assert_goes_on(&server).await;
}
