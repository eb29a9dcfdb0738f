//! Killed at any moment, nothing that was acknowledged is lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_testkit::{Actor, TestDatabase};
use tokio::task::JoinSet;

use crate::process::{Serving, demo_json};

/// Kills in one run of the test.
const ROUNDS: u64 = 5;
/// Clients that rotate and revoke side by side.
const ACTORS: usize = 4;

/// What the server has acknowledged: tokens that it revoked, refresh tokens that it spent; and the refresh tokens that were
/// last used or about to be, of which nothing is known.
#[derive(Default)]
struct Acknowledged {
    revoked: Vec<String>,
    spent: Vec<String>,
    last: Vec<String>,
}

/// Rotates and revokes until the server is gone.
async fn work(service: Actor, password: String, acknowledged: Arc<Mutex<Acknowledged>>) {
    let form = [("grant_type", "password"), ("username", "demo"), ("password", password.as_str())];
    // On a busy machine the kill comes before the password is hashed.
    let Some(first) = service.try_post("/oauth2/token", &form).await else {
        return;
    };
    let mut refresh_token = first.text("refresh_token");
    loop {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.as_str())];
        let Some(next) = service.try_post("/oauth2/token", &form).await else {
            acknowledged.lock().unwrap().last.push(refresh_token);
            return;
        };
        assert_eq!(next.status, 200, "{next}");
        acknowledged.lock().unwrap().spent.push(refresh_token);
        refresh_token = next.text("refresh_token");
        let token = next.text("access_token");
        let Some(revoked) = service.try_post("/oauth2/revoke", &[("token", &token)]).await else {
            acknowledged.lock().unwrap().last.push(refresh_token);
            return;
        };
        assert_eq!(revoked.status, 200, "{revoked}");
        acknowledged.lock().unwrap().revoked.push(token);
    }
}

#[tokio::test]
async fn a_kill_loses_no_acknowledged_revocation_or_rotation() {
    let database = TestDatabase::fresh();
    let first = Serving::demo(&database);
    let address = first.address().to_string();
    first.stop();
    let demo = demo_json(&database);
    let password = demo["password"].as_str().unwrap().to_owned();
    let mut total = 0;
    for round in 0..ROUNDS {
        let serving = Serving::start(&database, &["--demo", "--listen", &address], &[]);
        serving.ready().await;
        let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
        let mut workers = JoinSet::new();
        for _ in 0..ACTORS {
            workers.spawn(work(serving.demo_service(&demo), password.clone(), acknowledged.clone()));
        }
        tokio::time::sleep(Duration::from_millis(300 + 70 * round)).await;
        serving.signal("KILL");
        workers.join_all().await;
        serving.wait();

        let serving = Serving::start(&database, &["--demo", "--listen", &address], &[]);
        serving.ready().await;
        let service = serving.demo_service(&demo);
        let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
        total += acknowledged.revoked.len() + acknowledged.spent.len();
        for token in &acknowledged.revoked {
            assert_eq!(service.introspect(token).await.body, r#"{"active":false}"#, "a revocation is lost");
        }
        for token in &acknowledged.spent {
            assert_eq!(service.introspect(token).await.body, r#"{"active":false}"#, "a rotation is lost");
        }
        for token in &acknowledged.last {
            let again = service.refresh(token).await;
            assert_eq!(again.status, 200, "a session is lost with an answer: {again}");
        }
        if let Some(spent) = acknowledged.spent.first() {
            // Its successor was used: by the worker, or just now.
            assert_eq!(service.refresh(spent).await.refusal(), (400, "invalid_grant".to_owned()));
        }
        serving.stop();
    }
    assert!(total > 20, "the rounds acknowledged only {total} changes");
}
