//! Several nodes, a lost database, and a stale registry.

use std::time::Duration;

use countersign_protocol::ids::{ApiId, ClientId};
use countersign_protocol::status::Status;
use countersign_server::background::follow_changes;
use countersign_server::clock::Clock;
use countersign_server::keys::first_key::provide_missing;
use countersign_testkit::{Administrator, TestServer, load_rows};
use serde_json::json;
use tokio::task::JoinSet;

/// Lets nodes read each other's changes at the usual interval.
pub(crate) fn follow_each_250_ms(nodes: &[&TestServer]) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for state in nodes.iter().map(|node| node.state.clone()) {
        tasks.spawn(async move {
            loop {
                follow_changes::run_once(&state).await;
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        });
    }
    tasks
}

/// Revokes the key that signs the demo's tokens. Returns how long that took.
async fn revoke_key(operator: &Administrator) -> Duration {
    let keys = operator.list_whole("/keys").await;
    let signs = |key: &&serde_json::Value| key["algorithm"] == "RS256" && key["state"] == "active";
    let key = keys.iter().find(signs).unwrap()["id"].as_str().unwrap().to_owned();
    let clock = Clock::system();
    let revoked = operator.call("POST", &format!("/keys/{key}/revoke"), None, &[]).await;
    assert_eq!(revoked.status, 204, "{revoked}");
    Duration::from_millis(clock.monotonic_ms().unsigned_abs())
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn after_a_key_revocation_new_tokens_of_any_node_verify_at_the_others_immediately() {
    let first = TestServer::start().await;
    let second = first.second_node().await;
    let _following = follow_each_250_ms(&[&second]);
    let operator = first.operator().await;
    for _ in 0..5 {
        let took = revoke_key(&operator).await;
        for (here, there) in [(&first, &second), (&second, &first)] {
            let token = here.demo_service().client_credentials("all").await.text("access_token");
            assert_eq!(there.demo_service().call("GET", "/resource/whoami", &token).await.status, 200);
        }
        assert!(
            took < Duration::from_secs(2),
            "the other node responds, so the revocation does not time out: {took:?}"
        );
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_leaked_key_is_revoked_despite_a_hanging_node_and_without_waiting_for_a_stopped_one() {
    let first = TestServer::start().await;
    let second = first.second_node().await;
    let operator = first.operator().await;
    let leaked = first.demo_service().client_credentials("all").await.text("access_token");
    // The second node was running a moment ago, but reads nothing any more.
    let took = revoke_key(&operator).await;
    assert!((2000..4000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(first.demo_service().call("GET", "/resource/whoami", &leaked).await.status, 401);
    let token = first.demo_service().client_credentials("all").await.text("access_token");
    assert_eq!(first.demo_service().call("GET", "/resource/whoami", &token).await.status, 200);
    second.stop().await;
    let alone = revoke_key(&operator).await;
    assert!(alone < Duration::from_secs(2), "{alone:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_leaked_key_is_revoked_even_if_its_successor_is_revoked_meanwhile() {
    let first = TestServer::start().await;
    // The node is too slow to read the change, so that there is time.
    let _second = first.second_node().await;
    let operator = first.operator().await;
    let leaked = first.demo_service().client_credentials("all").await.text("access_token");
    let end_successor = async {
        loop {
            let keys = operator.list_whole("/keys").await;
            if let Some(pending) = keys.iter().find(|key| key["state"] == "pending") {
                let path = format!("/keys/{}/revoke", pending["id"].as_str().unwrap());
                assert_eq!(operator.call("POST", &path, None, &[]).await.status, 204);
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::join!(revoke_key(&operator), end_successor);
    assert_eq!(first.demo_service().call("GET", "/resource/whoami", &leaked).await.status, 401);
    let token = first.demo_service().client_credentials("all").await.text("access_token");
    assert_eq!(first.demo_service().call("GET", "/resource/whoami", &token).await.status, 200);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn nodes_create_one_first_key_per_algorithm_and_its_first_token_verifies_everywhere() {
    let first = TestServer::start().await;
    let second = first.second_node().await;
    let _following = follow_each_250_ms(&[&second]);
    let operator = first.operator().await;
    let changed = operator.patch("/apis/oauthclient", json!({ "algorithm": "EdDSA" })).await;
    assert_eq!(changed.status, 200, "{changed}");
    let token = first.demo_service().client_credentials("all").await.text("access_token");
    assert_eq!(second.demo_service().call("GET", "/resource/whoami", &token).await.status, 200);

    // Both nodes notice at the same time that a key is missing.
    first.tamper(
        "UPDATE apis SET algorithm = 'ES256'; UPDATE signing_keys SET state = 'retired' WHERE algorithm = 'ES256'",
    );
    let both = async |node: &TestServer| {
        follow_changes::run_once(&node.state).await;
        provide_missing(&node.state).await.unwrap();
    };
    tokio::join!(both(&first), both(&second));
    for node in [&first, &second] {
        follow_changes::run_once(&node.state).await;
        let keys = load_rows(&node.state.store).await.keys.keys;
        let algorithms: Vec<String> =
            keys.iter().map(|key| format!("{} {}", key.algorithm, key.state.as_str())).collect();
        assert_eq!(algorithms.iter().filter(|key| key.starts_with("ES256")).collect::<Vec<_>>(), ["ES256 active"]);
        let token = node.demo_service().client_credentials("all").await.text("access_token");
        for other in [&first, &second] {
            assert_eq!(other.demo_service().call("GET", "/resource/whoami", &token).await.status, 200);
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_revocation_or_change_takes_effect_on_the_other_node_after_one_read() {
    let first = TestServer::start().await;
    let second = first.second_node().await;
    let (here, there) = (first.demo_service(), second.demo_service());
    assert_eq!(here.get("/oauth2/jwks").await.body, there.get("/oauth2/jwks").await.body);
    let token = here.client_credentials("all").await.text("access_token");
    assert_eq!(there.call("GET", "/resource/whoami", &token).await.status, 200);
    here.revoke(&token).await;
    second.follow().await;
    assert_eq!(there.call("GET", "/resource/whoami", &token).await.status, 401);
    let id = ClientId::parse("demo-service").unwrap();
    first.change(async |change| change.set_client_status(&id, Status::Disabled).await.unwrap()).await;
    second.follow().await;
    assert_eq!(there.token(&[("grant_type", "client_credentials")]).await.status, 401);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_token_that_a_lagging_node_issues_for_a_removed_right_is_refused_everywhere() {
    let first = TestServer::start().await;
    let second = first.second_node().await;
    let (id, api) = (ClientId::parse("demo-service").unwrap(), ApiId::parse("oauthclient").unwrap());
    let what =
        first.state.registry.current().find_client("demo-service").unwrap().find_entitlement(&api).unwrap().clone();
    first.change(async |change| change.disallow(&id, &api).await.unwrap()).await;
    first.change(async |change| change.allow_ask(&id, &api, &what).await.unwrap()).await;
    // The second node has read neither change.
    let late = second.demo_service().client_credentials("all").await.text("access_token");
    assert_eq!(first.demo_service().call("GET", "/resource/whoami", &late).await.status, 401);
    second.follow().await;
    assert_eq!(second.demo_service().call("GET", "/resource/whoami", &late).await.status, 401);
    let fresh = second.demo_service().client_credentials("all").await.text("access_token");
    for node in [&first, &second] {
        assert_eq!(node.demo_service().call("GET", "/resource/whoami", &fresh).await.status, 200);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_refresh_retried_on_another_node_returns_the_same_refresh_token() {
    let first = TestServer::start().await;
    let second = first.second_node().await;
    let (here, there, demo) = (first.demo_service(), second.demo_service(), first.demo());
    let token = here.password(&demo.username, demo.password.expose()).await.text("refresh_token");
    let (one, other) = tokio::join!(here.refresh(&token), there.refresh(&token));
    assert_eq!((one.status, other.status), (200, 200), "{one} {other}");
    let next = one.text("refresh_token");
    assert_eq!(other.text("refresh_token"), next);
    let (one, other) = tokio::join!(here.refresh(&next), there.refresh(&next));
    assert_eq!(one.text("refresh_token"), other.text("refresh_token"));
    assert_eq!(there.refresh(&token).await.refusal(), (400, "invalid_grant".to_owned()), "reused");
    assert_eq!(here.refresh(&one.text("refresh_token")).await.refusal(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn a_registry_that_was_not_read_for_ten_seconds_is_stale() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let token = service.client_credentials("all").await.text("access_token");
    server.advance_clock_alone(10);
    assert_eq!(service.get("/readyz").await.status, 200);
    server.advance_clock_alone(1);
    let stale = [
        service.token(&[("grant_type", "client_credentials")]).await,
        service.introspect(&token).await,
        service.revoke(&token).await,
        service.call("GET", "/resource/whoami", &token).await,
    ];
    for answer in &stale {
        assert_eq!(answer.refusal(), (503, "temporarily_unavailable".to_owned()), "{answer}");
        assert_eq!(answer.header("retry-after"), "5");
    }
    assert_eq!(service.get("/readyz").await.status, 503);
    assert_eq!(service.get("/livez").await.status, 200);
    server.follow().await;
    assert_eq!(service.get("/readyz").await.status, 200);
    assert_eq!(service.introspect(&token).await.json()["active"], true);
}

#[tokio::test]
async fn without_its_database_a_node_still_issues_tokens_and_refuses_changes_immediately() {
    let server = TestServer::start().await;
    let (service, demo) = (server.demo_service(), server.demo());
    let set = service.password(&demo.username, demo.password.expose()).await;
    server.state.store.close().await;
    let changes = [
        service.refresh(&set.text("refresh_token")).await,
        service.revoke(&set.text("access_token")).await,
        service.password(&demo.username, demo.password.expose()).await,
    ];
    for answer in &changes {
        assert_eq!(answer.refusal(), (503, "temporarily_unavailable".to_owned()), "{answer}");
        assert!(!answer.header("retry-after").is_empty());
    }
    assert_eq!(service.client_credentials("all").await.status, 200);
    assert_eq!(service.introspect(&set.text("access_token")).await.json()["active"], true);
    server.advance(11).await;
    assert_eq!(service.token(&[("grant_type", "client_credentials")]).await.status, 503);
}
