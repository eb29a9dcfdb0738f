//! Many nodes, a lost database, and a registry that is too old.

use std::time::Duration;

use countersign_protocol::ids::{ApiId, ClientId};
use countersign_protocol::status::Status;
use countersign_server::background::follow_changes;
use countersign_server::clock::Clock;
use countersign_server::keys::first_key::provide_missing;
use countersign_testkit::{Administrator, TestServer, load_rows};
use serde_json::json;
use tokio::task::JoinSet;

/// Lets nodes read the changes of others as they do in life.
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

/// Revokes the key that signs the demo's tokens; returns how long that took.
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
async fn a_token_issued_by_any_node_right_after_a_key_is_revoked_verifies_at_the_other_at_once() {
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
        assert!(took < Duration::from_secs(2), "the other node answers, and is not waited for to the end: {took:?}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_leaked_key_ends_though_another_node_does_not_answer_and_one_that_stopped_is_not_waited_for() {
    let first = TestServer::start().await;
    let second = first.second_node().await;
    let operator = first.operator().await;
    let leaked = first.demo_service().client_credentials("all").await.text("access_token");
    // The second node was alive a moment ago, and reads nothing any more.
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
async fn a_leaked_key_ends_though_somebody_ends_its_successor_while_it_is_published() {
    let first = TestServer::start().await;
    // It does not read what it should, so that there is time.
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
async fn the_first_key_of_an_algorithm_is_one_and_its_first_token_verifies_at_the_other_node() {
    let first = TestServer::start().await;
    let second = first.second_node().await;
    let _following = follow_each_250_ms(&[&second]);
    let operator = first.operator().await;
    let changed = operator.patch("/apis/oauthclient", json!({ "algorithm": "EdDSA" })).await;
    assert_eq!(changed.status, 200, "{changed}");
    let token = first.demo_service().client_credentials("all").await.text("access_token");
    assert_eq!(second.demo_service().call("GET", "/resource/whoami", &token).await.status, 200);

    // Both find out at the same moment that a key is missing.
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
async fn what_one_node_revokes_or_changes_the_other_refuses_after_one_read() {
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
async fn what_a_lagging_node_issues_by_a_right_that_was_removed_is_refused_everywhere() {
    let first = TestServer::start().await;
    let second = first.second_node().await;
    let (id, api) = (ClientId::parse("demo-service").unwrap(), ApiId::parse("oauthclient").unwrap());
    let what =
        first.state.registry.current().find_client("demo-service").unwrap().find_entitlement(&api).unwrap().clone();
    first.change(async |change| change.disallow(&id, &api).await.unwrap()).await;
    first.change(async |change| change.allow_ask(&id, &api, &what).await.unwrap()).await;
    // The second node has not read either change.
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
async fn a_refresh_repeated_at_another_node_gives_the_same_refresh_token() {
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
    assert_eq!(there.refresh(&token).await.refusal(), (400, "invalid_grant".to_owned()), "used twice over");
    assert_eq!(here.refresh(&one.text("refresh_token")).await.refusal(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn a_registry_that_was_not_read_for_ten_seconds_decides_nothing() {
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
async fn without_its_database_a_node_issues_what_needs_none_and_refuses_every_change_at_once() {
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
