//! Guessing through the front door; the numbers themselves are tested beside the counters.

use countersign_testkit::{Actor, Answer, Options, TestServer};
use tokio::task::JoinSet;

/// A server behind a proxy, so that a story can come from many addresses.
async fn server() -> TestServer {
    let trusted_proxies = vec!["127.0.0.0/8".to_owned()];
    let server = TestServer::start_with(Options { trusted_proxies, ..Options::default() }).await;
    server.add_user("ada", "correct horse").await;
    server
}

async fn guess(service: &Actor, server: &TestServer, from: &str, user: &str, password: &str) -> Answer {
    let demo = server.demo();
    let form = [("grant_type", "password"), ("username", user), ("password", password)];
    let request =
        service.request("POST", "/oauth2/token").basic_auth(&demo.client_id, Some(demo.client_secret.expose()));
    service.send(request.header("x-forwarded-for", from).form(&form)).await
}

fn blocked(answer: &Answer) -> bool {
    let blocked = answer.refusal() == (429, "temporarily_unavailable".to_owned());
    assert_eq!(blocked, !answer.header("retry-after").is_empty());
    blocked
}

#[tokio::test]
async fn after_ten_wrong_passwords_even_the_right_one_waits_for_the_window() {
    let server = server().await;
    let service = server.demo_service();
    for name in ["ada", "ADA", "Ada", "ada", "ada", "ada", "ada", "ada", "ada", "aDa"] {
        assert_eq!(guess(&service, &server, "192.0.2.1", name, "wrong").await.status, 400);
    }
    let answer = guess(&service, &server, "192.0.2.1", "ada", "correct horse").await;
    assert!(blocked(&answer), "{answer}");
    assert_eq!(answer.header("retry-after"), "900");
    assert_eq!(guess(&service, &server, "192.0.2.2", "ada", "correct horse").await.status, 200, "another address");
    server.advance(900).await;
    assert_eq!(guess(&service, &server, "192.0.2.1", "ada", "correct horse").await.status, 200);
}

#[tokio::test]
async fn unknown_users_count_like_known_ones_and_guesses_side_by_side_gain_nothing() {
    let server = server().await;
    let service = server.demo_service();
    for user in ["ada", "nobody"] {
        let mut guesses = JoinSet::new();
        for _ in 0..20 {
            let (service, demo) = (service.clone(), server.demo().clone());
            let user = user.to_owned();
            guesses.spawn(async move {
                let form = [("grant_type", "password"), ("username", &user), ("password", "wrong")];
                let request = service.request("POST", "/oauth2/token");
                let request = request.basic_auth(&demo.client_id, Some(demo.client_secret.expose()));
                service.send(request.header("x-forwarded-for", "198.51.100.9").form(&form)).await
            });
        }
        let answers = guesses.join_all().await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 400).count(), 10, "{user}");
        assert_eq!(answers.iter().filter(|answer| blocked(answer)).count(), 10, "{user}");
    }
}

#[tokio::test]
async fn a_thousand_failed_clients_close_an_address_and_never_a_client() {
    let server = server().await;
    let stranger = server.stranger();
    let fail = async |from: &str, secret: &str| {
        let request = stranger.request("POST", "/oauth2/token").basic_auth("demo-service", Some(secret));
        stranger.send(request.header("x-forwarded-for", from).form(&[("grant_type", "client_credentials")])).await
    };
    for _ in 0..1000 {
        assert_eq!(fail("203.0.113.5", "wrong").await.status, 401);
    }
    let secret = server.demo().client_secret.expose().to_owned();
    assert!(
        blocked(&fail("203.0.113.5", &secret).await),
        "even the right secret, or it would be told from a wrong one"
    );
    assert_eq!(fail("203.0.113.6", &secret).await.status, 200);
    server.advance(900).await;
    assert_eq!(fail("203.0.113.5", &secret).await.status, 200);
}

#[tokio::test]
async fn a_forwarded_address_is_believed_only_from_a_trusted_proxy() {
    let server = TestServer::start().await;
    server.add_user("ada", "correct horse").await;
    let service = server.demo_service();
    for index in 0..10 {
        assert_eq!(guess(&service, &server, &format!("192.0.2.{index}"), "ada", "wrong").await.status, 400);
    }
    assert!(blocked(&guess(&service, &server, "192.0.2.77", "ada", "correct horse").await));
}
