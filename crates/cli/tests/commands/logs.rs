//! The log has the reason and request ID of a refusal, and never a secret.

use std::time::Duration;

use countersign_testkit::TestDatabase;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::process::{Serving, demo_json};

#[tokio::test]
async fn every_refusal_is_logged_with_its_exact_reason_and_without_secrets() {
    let database = TestDatabase::fresh();
    let environment = [("COUNTERSIGN_LOG_FORMAT", "json"), ("COUNTERSIGN_LOG_LEVEL", "trace")];
    let serving = Serving::start(&database, &["--demo"], &environment);
    serving.ready().await;
    let demo = demo_json(&database);
    let (secret, password) = (demo["client_secret"].as_str().unwrap(), demo["password"].as_str().unwrap());
    let service = serving.demo_service(&demo);
    let set = service.password("demo", password).await;
    let second = service.refresh(&set.text("refresh_token")).await;
    let third = service.refresh(&second.text("refresh_token")).await;
    let own = service.client_credentials("all").await;
    service.introspect(&own.text("access_token")).await;
    let mut expected = Vec::new();
    let mut refused = |answer: &countersign_testkit::Answer, reason: &'static str| {
        expected.push((answer.header("x-request-id").to_owned(), reason));
    };
    refused(&service.password("demo", "mistaken-horse-battery").await, "wrong password");
    refused(&service.password("nobody", password).await, "unknown user");
    refused(&serving.actor(secret, secret).token(&[("grant_type", "x")]).await, "unknown client");
    let typo = format!("{}?", &secret[..secret.len() - 1]);
    refused(&serving.actor("demo-service", &typo).token(&[("grant_type", "x")]).await, "checksum is wrong");
    let misplaced = [("grant_type", "client_credentials"), ("scope", secret)];
    refused(&service.token(&misplaced).await, "scope");
    let forged = [("grant_type", "client_credentials"), ("scope", "a\n{\"level\":\"FORGED\"}")];
    refused(&service.token(&forged).await, "malformed");
    refused(&service.refresh(&set.text("refresh_token")).await, "was already used");
    refused(&service.refresh(&third.text("refresh_token")).await, "was revoked");
    refused(&service.call("GET", "/resource/whoami", &set.text("access_token")).await, "the family was revoked");
    service.revoke(&own.text("access_token")).await;
    refused(&service.call("GET", "/resource/whoami", &own.text("access_token")).await, "the token was revoked");
    let log = serving.stop();

    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        for member in ["timestamp", "level", "message", "target"] {
            assert!(line[member].is_string(), "{member} in {line}");
        }
    }
    for (request_id, reason) in expected {
        let found = lines.iter().filter(|line| line["request_id"] == request_id.as_str());
        let reasons: Vec<&str> = found.filter_map(|line| line["reason"].as_str()).collect();
        assert!(reasons.iter().any(|found| found.contains(reason)), "{reason}: {reasons:?}");
    }
    let issued: Vec<&Value> = lines.iter().filter(|line| line["message"] == "token issued").collect();
    assert_eq!(issued.len(), 4);
    assert!(issued.iter().all(|line| line["client_id"] == "demo-service" && line["token_id"].is_string()));
    let secrets = [
        secret.to_owned(),
        typo,
        password.to_owned(),
        "mistaken-horse-battery".to_owned(),
        set.text("refresh_token"),
        second.text("refresh_token"),
        third.text("refresh_token"),
        own.text("access_token"),
        set.text("access_token"),
    ];
    for secret in secrets {
        assert!(!log.contains(&secret) && !log.contains(&secret[secret.len() - 12..]), "a secret is in the log");
    }
}

#[tokio::test]
async fn requests_outside_the_routes_are_logged_with_the_id_on_their_page() {
    let database = TestDatabase::fresh();
    let serving = Serving::start(&database, &["--demo"], &[("COUNTERSIGN_LOG_FORMAT", "json")]);
    serving.ready().await;
    let stranger = serving.actor("", "");
    let page = stranger.send(stranger.request("GET", "/nothing").header("accept", "text/html")).await;
    assert!(page.body.contains(page.header("x-request-id")), "{page}");
    let method = stranger.post("/livez", &[]).await;
    let file = stranger.get("/static/0/style.css").await;
    let long = stranger.get(&format!("/{}", "x".repeat(2000))).await;
    let token = stranger.get("/eyJhbGciOiJub25lIn0.e30.").await;
    assert_eq!([&page, &method, &file, &long, &token].map(|answer| answer.status), [404, 405, 404, 404, 404]);
    let log = serving.stop();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let find = |answer: &countersign_testkit::Answer| {
        let found: Vec<_> = lines.iter().filter(|line| line["request_id"] == answer.header("x-request-id")).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        let line = found[0];
        assert_eq!((&line["message"], &line["address"]), (&"request refused".into(), &"127.0.0.1".into()));
        format!("{} {}: {}", line["method"], line["path"], line["reason"]).replace('"', "")
    };
    assert_eq!(find(&page), "GET /nothing: unknown page");
    assert_eq!(find(&method), "POST /livez: method not allowed for this path");
    assert_eq!(find(&file), "GET /static/0/style.css: unknown path");
    assert!(find(&long).len() < 400, "a long path is shortened in the log");
    assert_eq!(find(&token), "GET ********: unknown path");
}

/// A connection within the limit of its address. Earlier ones may still be closing.
async fn hold_connection(serving: &Serving) -> TcpStream {
    loop {
        let mut connection = TcpStream::connect(serving.address()).await.unwrap();
        let asked = connection.write_all(b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await;
        if asked.is_ok() && connection.read(&mut [0; 1024]).await.is_ok_and(|length| length > 0) {
            return connection;
        }
    }
}

#[tokio::test]
async fn many_refusals_cause_one_warning() {
    let database = TestDatabase::fresh();
    let environment = [("COUNTERSIGN_LOG_FORMAT", "json"), ("COUNTERSIGN_HTTP_MAX_CONNECTIONS_PER_ADDRESS", "2")];
    let serving = Serving::start(&database, &["--demo"], &environment);
    serving.ready().await;
    for (client, times) in [("demo-service", 110), ("a secret in the wrong field", 110), ("operator", 5)] {
        let actor = serving.actor(client, "wrong");
        for _ in 0..times {
            actor.token(&[("grant_type", "client_credentials")]).await;
        }
    }
    let held = [hold_connection(&serving).await, hold_connection(&serving).await];
    for _ in 0..5 {
        let mut refused = TcpStream::connect(serving.address()).await.unwrap();
        let read = timeout(Duration::from_secs(5), refused.read(&mut [0; 10])).await;
        assert!(matches!(read, Ok(Ok(0) | Err(_))), "{read:?}");
    }
    drop(held);
    let log = serving.stop();

    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let warned: Vec<String> = lines
        .iter()
        .filter(|line| line["level"] == "WARN" && line["address"] == "127.0.0.1")
        .map(|line| format!("{}, {}, {}", line["message"].as_str().unwrap(), line["client_id"], line["count"]))
        .collect();
    let secrets = "too many wrong client secrets; returning 429 for further ones";
    let expected = [format!("{secrets}, \"demo-service\", 100"), format!("{secrets}, \"(unknown)\", 100")];
    assert_eq!(warned[..2], expected, "{log}");
    assert!(warned[2].contains("connections") && warned.len() == 3, "{warned:?}");
}
