//! A refresh whose response was lost can be retried and returns the same refresh token. Any other reuse ends the family.

use std::time::Duration;

use countersign_testkit::{Actor, TestServer};
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};

use crate::refresh::{refused, sign_in, story};

const INACTIVE: &str = r#"{"active":false}"#;

async fn set_retry(server: &TestServer, seconds: i64) {
    let answer = server.operator().await.patch("/apis/oauthclient", json!({ "refresh_retry_s": seconds })).await;
    assert_eq!(answer.status, 200, "{answer}");
    server.follow().await;
}

#[tokio::test]
async fn within_thirty_seconds_a_retry_returns_the_same_refresh_token_and_a_new_access_token() {
    let (server, service) = story().await;
    let token = sign_in(&service, "all reports:read").await.text("refresh_token");
    let first = service.refresh(&token).await;
    server.advance(29).await;
    let narrower = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("scope", "all")];
    let again = service.token(&narrower).await;
    assert_eq!((again.status, again.text("scope")), (200, "all".to_owned()), "{again}");
    assert_eq!(again.text("refresh_token"), first.text("refresh_token"));
    assert_ne!(again.text("access_token"), first.text("access_token"));
    let said = service.introspect(&again.text("access_token")).await.json();
    assert_eq!(said["iat"], server.state.now());
    assert_eq!(service.introspect(&token).await.body, INACTIVE, "it is still spent");
    let wider = [narrower[0], narrower[1], ("scope", "reports:write")];
    assert_eq!(
        service.token(&wider).await.refusal(),
        (400, "invalid_scope".to_owned()),
        "this does not end the family"
    );
    for set in [&first, &again] {
        assert_eq!(service.call("GET", "/resource/whoami", &set.text("access_token")).await.status, 200);
    }
    let next = service.refresh(&again.text("refresh_token")).await;
    assert_eq!(next.status, 200, "{next}");
    refused(&service.refresh(&token).await);
    for set in [&first, &again, &next] {
        assert_eq!(service.introspect(&set.text("access_token")).await.body, INACTIVE, "the successor was used");
    }
    refused(&service.refresh(&next.text("refresh_token")).await);
}

#[tokio::test]
async fn retries_do_not_extend_the_window_and_a_later_one_ends_the_family() {
    let (server, service) = story().await;
    let token = sign_in(&service, "all").await.text("refresh_token");
    let successor = service.refresh(&token).await.text("refresh_token");
    for _ in 0..2 {
        server.advance(14).await;
        assert_eq!(service.refresh(&token).await.text("refresh_token"), successor);
    }
    server.advance(1).await;
    let last = service.refresh(&token).await;
    assert_eq!(last.text("refresh_token"), successor);
    server.advance(1).await;
    refused(&service.refresh(&token).await);
    refused(&service.refresh(&successor).await);
    assert_eq!(service.introspect(&last.text("access_token")).await.body, INACTIVE);
    server.advance(7190).await;
    assert_eq!(service.introspect(&last.text("access_token")).await.body, INACTIVE, "until it would have expired");
}

#[tokio::test]
async fn what_retries_need_is_erased_after_the_window() {
    let (server, service) = story().await;
    let token = sign_in(&service, "all").await.text("refresh_token");
    assert_eq!(service.refresh(&token).await.status, 200);
    let hash = countersign_protocol::secret::SecretHash::of(&token);
    let is_kept = async || server.state.store.find_refresh_token(&hash).await.unwrap().unwrap().retry.is_some();
    for (seconds, expected) in [(29, true), (1, false)] {
        server.advance(seconds).await;
        countersign_server::background::forget_retries::run_once(&server.state).await;
        assert_eq!(is_kept().await, expected);
    }
}

#[tokio::test]
async fn the_window_is_set_per_api_and_shortening_it_takes_effect_immediately() {
    let (server, service) = story().await;
    set_retry(&server, 120).await;
    let token = sign_in(&service, "all").await.text("refresh_token");
    let successor = service.refresh(&token).await.text("refresh_token");
    server.advance(119).await;
    assert_eq!(service.refresh(&token).await.text("refresh_token"), successor);
    set_retry(&server, 60).await;
    refused(&service.refresh(&token).await);
    refused(&service.refresh(&successor).await);

    let token = sign_in(&service, "all").await.text("refresh_token");
    assert_eq!(service.refresh(&token).await.status, 200);
    set_retry(&server, 120).await;
    server.advance(60).await;
    refused(&service.refresh(&token).await);

    set_retry(&server, 0).await;
    let token = sign_in(&service, "all").await.text("refresh_token");
    assert_eq!(service.refresh(&token).await.status, 200);
    refused(&service.refresh(&token).await);
}

#[tokio::test]
async fn reuse_ends_the_family_even_if_the_request_has_other_errors() {
    let (server, service) = story().await;
    let operator = server.operator().await;
    set_retry(&server, 0).await;
    for (path, name, value) in [
        ("/oauth2/token", "scope", "nothing"),
        ("/oauth2/token", "resource", "https://nobody.example"),
        ("/OAuth2/Token/nobody", "scope", "all"),
    ] {
        let set = sign_in(&service, "all").await;
        let token = set.text("refresh_token");
        let successor = service.refresh(&token).await.text("refresh_token");
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), (name, value)];
        refused(&service.post(path, &form).await);
        refused(&service.refresh(&successor).await);
        assert_eq!(service.introspect(&set.text("access_token")).await.body, INACTIVE, "{name}={value}");
    }
    let set = sign_in(&service, "all").await;
    assert_eq!(service.refresh(&set.text("refresh_token")).await.status, 200);
    let limited = operator.patch("/clients/demo-service", json!({ "tokens_per_minute": 1 })).await;
    assert_eq!(limited.status, 200, "{limited}");
    service.client_credentials("all").await;
    assert_eq!(service.token(&[("grant_type", "client_credentials")]).await.status, 429);
    refused(&service.refresh(&set.text("refresh_token")).await);
    assert_eq!(service.introspect(&set.text("access_token")).await.body, INACTIVE, "limits do not hide reuse");
}

/// Makes a hundred refreshes with one token.
async fn race(service: &Actor, token: &str) -> Vec<countersign_testkit::Answer> {
    let mut racers = JoinSet::new();
    for _ in 0..100 {
        let (service, token) = (service.clone(), token.to_owned());
        racers.spawn(async move { service.refresh(&token).await });
    }
    racers.join_all().await
}

#[tokio::test]
async fn a_hundred_concurrent_refreshes_have_one_successor() {
    let (_server, service) = story().await;
    let token = sign_in(&service, "all").await.text("refresh_token");
    let answers = race(&service, &token).await;
    let successor = answers[0].text("refresh_token");
    let mut access_tokens = std::collections::HashSet::new();
    for answer in &answers {
        assert_eq!((answer.status, answer.text("refresh_token")), (200, successor.clone()), "{answer}");
        access_tokens.insert(answer.text("access_token"));
    }
    assert_eq!(access_tokens.len(), 100);
    assert_eq!(service.refresh(&successor).await.status, 200);
}

#[tokio::test]
async fn without_a_retry_window_one_of_a_hundred_concurrent_refreshes_succeeds() {
    let (server, service) = story().await;
    set_retry(&server, 0).await;
    let token = sign_in(&service, "all").await.text("refresh_token");
    let answers = race(&service, &token).await;
    let (winners, losers): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(winners.len(), 1);
    losers.into_iter().for_each(refused);
    refused(&service.refresh(&winners[0].text("refresh_token")).await);
}

/// Four uses of a token wait for the database, and all but the first disconnect. Then the database is free. Returns the response.
async fn hang_up(server: &TestServer, service: &Actor, token: &str) -> countersign_testkit::Answer {
    let held = server.state.store.begin_change(0).await.unwrap();
    let mut uses = Vec::new();
    for _ in 0..4 {
        let (service, token) = (service.clone(), token.to_owned());
        uses.push(tokio::spawn(async move { service.refresh(&token).await }));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let first = uses.remove(0);
    uses.iter().for_each(JoinHandle::abort);
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(held);
    let answer = first.await.unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.follow().await;
    answer
}

#[tokio::test]
async fn a_client_that_disconnects_and_retries_continues_unless_there_is_no_retry_window_on_sqlite() {
    let (server, service) = story().await;
    let token = sign_in(&service, "all").await.text("refresh_token");
    let answer = hang_up(&server, &service, &token).await;
    assert_eq!(service.refresh(&token).await.text("refresh_token"), answer.text("refresh_token"));
    assert_eq!(service.refresh(&answer.text("refresh_token")).await.status, 200);

    set_retry(&server, 0).await;
    let token = sign_in(&service, "all").await.text("refresh_token");
    let answer = hang_up(&server, &service, &token).await;
    assert_eq!(service.introspect(&answer.text("access_token")).await.body, INACTIVE);
    refused(&service.refresh(&answer.text("refresh_token")).await);
}
