//! The connection itself: request IDs, limits, and invalid HTTP.

use std::time::Duration;

use countersign_testkit::{Options, TestServer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

#[tokio::test]
async fn every_response_has_a_request_id_and_only_a_trusted_proxy_can_set_it() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    for path in ["/livez", "/nowhere", "/oauth2/token", "/resource/whoami", "/oauth2/jwks"] {
        let answer = stranger.send(stranger.request("GET", path).header("x-request-id", "mine")).await;
        assert!(!answer.header("x-request-id").is_empty() && answer.header("x-request-id") != "mine", "{path}");
    }
    let trusted_proxies = vec!["127.0.0.1/32".to_owned()];
    let server = TestServer::start_with(Options { trusted_proxies, ..Options::default() }).await;
    let stranger = server.stranger();
    let with_id = |id: &str| stranger.request("GET", "/livez").header("x-request-id", id);
    assert_eq!(stranger.send(with_id("from-the-proxy")).await.header("x-request-id"), "from-the-proxy");
    let several = stranger.send(with_id("mine").header("x-request-id", "from-the-proxy")).await;
    assert!(!["mine", "from-the-proxy"].contains(&several.header("x-request-id")), "{several}");
    for implausible in ["a b", "", &"x".repeat(129)] {
        assert_ne!(stranger.send(with_id(implausible)).await.header("x-request-id"), implausible);
    }
}

#[tokio::test]
async fn the_response_announces_when_an_unread_body_closes_the_connection() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    for (path, length, status) in [("/oauth2/token", 100_000, 413), ("/api/tokenSet", 100_000, 401)] {
        let request = stranger.request("POST", path).header("content-type", "application/x-www-form-urlencoded");
        let answer = stranger.send(request.body("x".repeat(length))).await;
        assert_eq!((answer.status, answer.header("connection")), (status, "close"), "{path}: {answer}");
    }
    let read = stranger.send(stranger.request("POST", "/oauth2/token").form(&[("grant_type", "x")])).await;
    assert_eq!((read.status, read.header("connection")), (401, ""), "{read}");
    assert_eq!(stranger.get("/livez").await.header("connection"), "");
}

#[tokio::test]
async fn excess_requests_get_a_503_and_administrators_can_still_work() {
    let server = TestServer::start_with(Options { max_in_flight: 1, ..Options::default() }).await;
    let (service, demo) = (server.demo_service(), server.demo());
    let mut slow = JoinSet::new();
    for _ in 0..8 {
        let (service, password) = (service.clone(), demo.password.expose().to_owned());
        slow.spawn(async move { service.password("demo", &password).await });
    }
    let answers = slow.join_all().await;
    let shed: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert!(!shed.is_empty() && shed.len() < answers.len());
    for answer in shed {
        assert_eq!(answer.refusal(), (503, "temporarily_unavailable".to_owned()), "{answer}");
        assert_eq!(answer.header("retry-after"), "5");
    }
    assert_eq!(service.get("/readyz").await.status, 200);
}

fn half_a_request() -> String {
    let head = "POST /oauth2/token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    format!("{head}content-length: 10\r\n\r\ngrant")
}

#[tokio::test]
async fn a_body_that_does_not_arrive_times_out_and_takes_no_place() {
    let server = TestServer::start_with(Options { max_in_flight: 1, ..Options::default() }).await;
    let (service, stranger) = (server.demo_service(), server.stranger());
    let waiting = tokio::spawn(async move { stranger.raw(half_a_request().as_bytes()).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    service.client_credentials("all").await;
    let late = tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("the server waits forever").unwrap();
    assert!(late.starts_with("HTTP/1.1 400") && late.contains("did not arrive in time"), "{late}");
}

#[tokio::test]
async fn a_client_that_does_not_read_responses_is_disconnected() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let ask = "GET /oauth2/jwks HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".repeat(200);
    let hang = async {
        loop {
            // The client never reads, so that the server can eventually neither write nor read.
            stream.write_all(ask.as_bytes()).await?;
        }
    };
    let ended: Result<Result<(), std::io::Error>, _> = tokio::time::timeout(Duration::from_secs(40), hang).await;
    assert!(ended.expect("the server holds the connection forever").is_err());
}

#[tokio::test]
async fn invalid_http_and_oversized_requests_are_refused() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    let head = |more: &str| format!("GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{more}\r\n");
    assert!(stranger.raw(head("").as_bytes()).await.starts_with("HTTP/1.1 200"));
    assert!(stranger.raw(b"nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    let large = stranger.raw(head(&format!("x: {}\r\n", "x".repeat(64 * 1024))).as_bytes()).await;
    assert!(large.is_empty() || large.starts_with("HTTP/1.1 431"), "{large}");
    for hosts in ["", "host: 127.0.0.1\r\nhost: 127.0.0.1\r\n"] {
        let answer = stranger.raw(format!("GET /livez HTTP/1.1\r\n{hosts}connection: close\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let announced = "POST /oauth2/token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                     content-length: 1000000000\r\nconnection: close\r\n\r\n";
    assert!(stranger.raw(announced.as_bytes()).await.starts_with("HTTP/1.1 413"), "before it is sent");
    let broken = "POST /oauth2/token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                  transfer-encoding: chunked\r\nconnection: close\r\n\r\nzz\r\n";
    assert!(stranger.raw(broken.as_bytes()).await.starts_with("HTTP/1.1 400"));
    let smuggled =
        "POST /oauth2/token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello";
    assert!(stranger.raw(smuggled.as_bytes()).await.starts_with("HTTP/1.1 400"));
}
