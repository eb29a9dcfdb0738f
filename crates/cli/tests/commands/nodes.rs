//! Two real nodes on one PostgreSQL, and a database that becomes unavailable.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_server::clock::Clock;
use countersign_testkit::{Answer, TestDatabase};
use tokio::task::JoinSet;

use crate::process::{Serving, demo_json, run};

/// Polls every 20 ms until the response is as expected, up to a limit.
async fn within(limit_ms: u64, ask: impl AsyncFn() -> Answer, wanted: impl Fn(&Answer) -> bool) -> Answer {
    let mut answer = ask().await;
    for _ in 0..limit_ms / 20 {
        if wanted(&answer) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = ask().await;
    }
    assert!(wanted(&answer), "{answer}");
    answer
}

/// A second node: another directory with the first one's sealing key, and the same issuer.
fn second_node(first: &TestDatabase, issuer: &str) -> (Serving, TestDatabase) {
    let second = TestDatabase { directory: TestDatabase::fresh().directory, url: first.url.clone() };
    let key = first.directory.path().join("data/sealing.key").display().to_string();
    let environment = [("COUNTERSIGN_SEALING_KEY_FILE", key.as_str()), ("COUNTERSIGN_ISSUER", issuer)];
    // Its `Ready:` line shows the shared issuer, so its address must be set.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let serving = Serving::start(&second, &["--listen", &address.to_string()], &environment).at(address);
    (serving, second)
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_token_revoked_on_one_node_is_invalid_on_the_other_within_a_second() {
    let database = TestDatabase::fresh();
    assert!(database.url.is_some(), "with SQLite, only one process can use a data directory");
    let first = Serving::demo(&database);
    first.ready().await;
    let demo = demo_json(&database);
    let (second, _directory) = second_node(&database, &first.issuer);
    second.ready().await;
    let (here, there) = (first.demo_service(&demo), second.demo_service(&demo));
    for _ in 0..10 {
        let mut tokens = Vec::new();
        for _ in 0..10 {
            let token = here.client_credentials("all").await.text("access_token");
            assert_eq!(there.introspect(&token).await.json()["active"], true);
            tokens.push(token);
        }
        for token in &tokens {
            assert_eq!(here.revoke(token).await.status, 200);
        }
        for token in &tokens {
            within(1000, async || there.introspect(token).await, |answer| answer.body == r#"{"active":false}"#).await;
        }
    }
    first.stop();
    second.stop();
}

/// Revokes the key that signs the demo's tokens, by the command. Returns how many milliseconds that took.
fn revoke_key(database: &TestDatabase) -> i64 {
    let data = database.directory.path().join("data").display().to_string();
    let command = |words: &[&str]| run(&[&["key"], words, &["--data-dir", &data, "--output", "json"]].concat(), &[]);
    let keys: serde_json::Value = serde_json::from_slice(&command(&["list"]).stdout).unwrap();
    let signs = |key: &&serde_json::Value| key["algorithm"] == "RS256" && key["state"] == "active";
    let key = keys.as_array().unwrap().iter().find(signs).unwrap()["id"].as_str().unwrap().to_owned();
    let begun = Clock::system();
    let revoked = command(&["revoke", &key, "--yes"]);
    assert!(revoked.status.success(), "{revoked:?}");
    begun.monotonic_ms()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn after_a_key_revocation_tokens_verify_on_every_node_with_little_waiting_for_a_killed_one() {
    let database = TestDatabase::fresh();
    let url = database.url.clone().expect("with SQLite, only one process can use a data directory");
    let count_nodes = || {
        let counted =
            Command::new("psql").args([url.as_str(), "-qtAc", "SELECT COUNT(*) FROM nodes"]).output().unwrap();
        String::from_utf8(counted.stdout).unwrap().trim().to_owned()
    };
    let first = Serving::demo(&database);
    first.ready().await;
    let demo = demo_json(&database);
    let (second, _directory) = second_node(&database, &first.issuer);
    second.ready().await;
    let (here, there) = (first.demo_service(&demo), second.demo_service(&demo));
    for _ in 0..5 {
        let took_ms = tokio::task::block_in_place(|| revoke_key(&database));
        let token = here.client_credentials("all").await.text("access_token");
        assert_eq!(there.introspect(&token).await.json()["active"], true);
        assert!(took_ms < 1900, "the node reported long before the timeout: {took_ms} ms");
    }
    assert_eq!(count_nodes(), "2");
    second.signal("KILL");
    second.wait();
    let took_ms = tokio::task::block_in_place(|| revoke_key(&database));
    assert!((2000..5000).contains(&took_ms), "it was running a moment ago: {took_ms} ms");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let took_ms = tokio::task::block_in_place(|| revoke_key(&database));
    assert!(took_ms < 1900, "its heartbeat has stopped: {took_ms} ms");
    let log = first.stop();
    assert!(log.contains("another node has not loaded the change"), "{log}");
    assert_eq!(count_nodes(), "1", "a node that stops deletes its heartbeat");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn if_one_of_two_nodes_is_killed_under_load_the_other_refuses_nothing_and_loses_nothing() {
    let database = TestDatabase::fresh();
    assert!(database.url.is_some(), "with SQLite, only one process can use a data directory");
    let first = Serving::demo(&database);
    first.ready().await;
    let demo = demo_json(&database);
    let (second, _directory) = second_node(&database, &first.issuer);
    second.ready().await;
    let (revoked, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let mut workers = JoinSet::new();
    for _ in 0..3 {
        let (here, revoked) = (first.demo_service(&demo), revoked.clone());
        workers.spawn(async move {
            let form = [("grant_type", "client_credentials")];
            while let Some(issued) = here.try_post("/oauth2/token", &form).await {
                let token = issued.text("access_token");
                match here.try_post("/oauth2/revoke", &[("token", &token)]).await {
                    Some(answer) if answer.status == 200 => revoked.lock().unwrap().push(token),
                    _ => return,
                }
            }
        });
        let (there, stop) = (second.demo_service(&demo), stop.clone());
        workers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let token = there.client_credentials("all").await.text("access_token");
                assert_eq!(there.introspect(&token).await.json()["active"], true);
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(1000)).await;
    first.signal("KILL");
    tokio::time::sleep(Duration::from_millis(1000)).await;
    stop.store(true, Ordering::Relaxed);
    workers.join_all().await;
    let there = second.demo_service(&demo);
    let revoked = std::mem::take(&mut *revoked.lock().unwrap());
    assert!(!revoked.is_empty());
    for token in &revoked {
        assert_eq!(there.introspect(token).await.body, r#"{"active":false}"#, "acknowledged changes apply everywhere");
    }
    assert_eq!(there.get("/readyz").await.status, 200);
    first.wait();
    second.stop();
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn an_unavailable_database_causes_503_and_the_server_recovers_by_itself() {
    let database = TestDatabase::fresh();
    let url = database.url.clone().expect("SQLite is a file of this machine and does not go away");
    let serving = Serving::start(&database, &["--demo"], &[("COUNTERSIGN_REGISTRY_MAX_AGE_S", "2")]);
    serving.ready().await;
    let demo = demo_json(&database);
    let service = serving.demo_service(&demo);
    let set = service.password("demo", demo["password"].as_str().unwrap()).await;
    let (base, query) = url.split_once('?').unwrap();
    let name = base.rsplit_once('/').unwrap().1.to_owned();
    let admin = |statement: &str| {
        let run =
            Command::new("psql").args([&format!("postgres:///postgres?{query}"), "-qtc", statement]).output().unwrap();
        assert!(run.status.success(), "{run:?}");
    };
    let unavailable = |answer: &Answer| answer.status == 503 && answer.text("error") == "temporarily_unavailable";
    admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
    admin(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"));
    within(3000, async || service.revoke(&set.text("access_token")).await, unavailable).await;
    assert!(unavailable(&service.refresh(&set.text("refresh_token")).await));
    within(4000, async || service.token(&[("grant_type", "client_credentials")]).await, unavailable).await;
    assert_eq!(service.get("/readyz").await.status, 503);
    assert_eq!(service.get("/livez").await.status, 200);
    admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
    within(5000, async || service.get("/readyz").await, |answer| answer.status == 200).await;
    assert_eq!(service.refresh(&set.text("refresh_token")).await.status, 200, "the token was not spent");
    serving.stop();
}
