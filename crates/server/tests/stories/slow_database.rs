//! A slow database is reported and waited for. It does not count as lost, and unrelated requests are not refused.

use std::time::Duration;

use countersign_server::background::{follow_changes, heartbeat};
use countersign_testkit::{Answer, TestServer};
use serde_json::json;
use tokio::task::JoinSet;

use crate::nodes::follow_each_250_ms;
use crate::refresh::{sign_in, story};

fn is_unavailable(answer: &Answer, why: &str) -> bool {
    let is_it = answer.refusal() == (503, "temporarily_unavailable".to_owned());
    is_it && answer.body.contains(why) && answer.header("retry-after") == "5"
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_slow_registry_read_refuses_no_request() {
    let (server, service) = story().await;
    let _following = follow_each_250_ms(&[&server]);
    let mut token = sign_in(&service, "all").await.text("refresh_token");
    server.tamper("UPDATE change_counter SET change = change + 1, registry_change = change + 1");
    server.tamper("UPDATE clients SET status = 'disabled' WHERE id = 'operator'");
    let mut locks = server.hold("LOCK TABLE playground_settings IN ACCESS EXCLUSIVE MODE", 7).await;
    server.tamper("UPDATE change_counter SET change = change + 1, registry_change = change + 1");
    for _ in 0..26 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        service.client_credentials("all").await;
        let next = service.refresh(&token).await;
        assert_eq!(next.status, 200, "reading took more than two seconds: {next}");
        token = next.text("refresh_token");
    }
    assert!(locks.wait().unwrap().success());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let operator = server.state.registry.current();
    assert!(
        operator.find_client("operator").is_some_and(|client| client.status.as_str() == "disabled"),
        "the registry was read"
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn only_blocked_writes_are_refused_and_in_time() {
    let (server, service) = story().await;
    let _following = follow_each_250_ms(&[&server]);
    let mut blocked = Vec::new();
    for _ in 0..12 {
        blocked.push(sign_in(&service, "all").await.text("refresh_token"));
    }
    let free = service.client_credentials("all").await.text("access_token");
    let mut locks = server.hold("SELECT 1 FROM refresh_tokens FOR UPDATE", 7).await;
    let mut waiting = JoinSet::new();
    for token in &blocked {
        let (service, token) = (service.clone(), token.clone());
        waiting.spawn(async move { service.refresh(&token).await });
    }
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        service.client_credentials("all").await;
        assert_eq!(service.introspect(&blocked[0]).await.json()["active"], true, "reads have their own connections");
        assert_eq!(service.get("/readyz").await.status, 200);
        assert!(server.state.registry.check_database().is_ok(), "all connections for writes are busy");
    }
    for answer in waiting.join_all().await {
        assert!(is_unavailable(&answer, "did not respond in time"), "{answer}");
    }
    assert!(locks.wait().unwrap().success());
    assert_eq!(service.revoke(&free).await.status, 200, "it recovers by itself");
    let metrics = server.metrics();
    assert!(metrics.contains("countersign_database_failures_total{trouble=\"slow\"} 12\n"), "{metrics}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_read_only_database_is_reported_and_tokens_are_still_issued() {
    let (server, service) = story().await;
    let token = sign_in(&service, "all").await.text("refresh_token");
    let operator = server.operator().await;
    server.tamper(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); \
         END $$",
    );
    server.tamper(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> \
         pg_backend_pid()",
    );
    server.follow().await;
    assert!(is_unavailable(&service.refresh(&token).await, "the database is read-only"));
    let change = operator.post("/clients", json!({ "client_id": "job" })).await;
    assert_eq!((change.status, change.body.contains("the database is read-only")), (503, true), "{change}");
    let issued = service.client_credentials("all").await.text("access_token");
    assert_eq!(service.introspect(&issued).await.json()["active"], true);
    assert_eq!(service.get("/readyz").await.status, 200, "tokens are still issued");
    let metrics = server.metrics();
    assert!(metrics.contains("countersign_database_failures_total{trouble=\"read_only\"} 2\n"), "{metrics}");
    countersign_server::background::clean_up::run_once(&server.state).await;
    let metrics = server.metrics();
    assert!(metrics.contains("countersign_database_failures_total{trouble=\"read_only\"} 3\n"), "{metrics}");
}

#[tokio::test]
async fn changes_and_background_writes_that_fail_are_counted_on_sqlite() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let held = server.state.store.begin_change(server.state.now()).await.unwrap();
    let change = operator.post("/clients", json!({ "client_id": "job" })).await;
    assert_eq!((change.status, change.body.contains("did not respond in time")), (503, true), "{change}");
    countersign_server::background::clean_up::run_once(&server.state).await;
    let metrics = server.metrics();
    assert!(metrics.contains("countersign_database_failures_total{trouble=\"slow\"} 2\n"), "{metrics}");
    drop(held);
    assert_eq!(operator.post("/clients", json!({ "client_id": "job" })).await.status, 201);
}

#[tokio::test]
async fn refusals_that_could_not_be_stored_are_stored_later_on_sqlite() {
    let server = TestServer::start().await;
    let refused = server.actor("demo-service", "wrong").token(&[("grant_type", "client_credentials")]).await;
    let held = server.state.store.begin_change(server.state.now()).await.unwrap();
    countersign_server::background::store_refusals::run_once(&server.state).await;
    drop(held);
    countersign_server::background::store_refusals::run_once(&server.state).await;
    let found = server.state.store.find_refusal(refused.header("x-request-id")).await.unwrap();
    assert!(found.is_some(), "it was stored later");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_heartbeat_that_waits_for_a_lock_does_not_keep_a_node_from_reading_changes() {
    let (server, service) = story().await;
    let operator = server.operator().await;
    let mut locks = server.hold("SELECT * FROM nodes FOR UPDATE", 10).await;
    // Each change is also told to the other nodes.
    assert_eq!(operator.post("/clients", json!({ "client_id": "job" })).await.status, 201);
    let mut background = JoinSet::new();
    for state in [server.state.clone(), server.state.clone()] {
        let is_first = background.is_empty();
        background.spawn(async move {
            loop {
                match is_first {
                    true => heartbeat::run_once(&state).await,
                    false => follow_changes::run_once(&state).await,
                }
                tokio::time::sleep(Duration::from_millis(if is_first { 1000 } else { 250 })).await;
            }
        });
    }
    for _ in 0..32 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let followed = server.state.follow().await;
        assert!(followed.is_ok(), "{followed:?}");
    }
    service.client_credentials("all").await;
    background.shutdown().await;
    assert!(locks.wait().unwrap().success());
}
