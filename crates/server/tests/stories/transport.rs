//! The connection itself: ids, bounds, and what is no HTTP.

use countersign_testkit::{Options, TestServer};

#[tokio::test]
async fn every_answer_has_a_request_id_and_an_inbound_one_counts_only_from_a_trusted_proxy() {
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
    for implausible in ["a b", "", &"x".repeat(129)] {
        assert_ne!(stranger.send(with_id(implausible)).await.header("x-request-id"), implausible);
    }
}

#[tokio::test]
async fn too_many_requests_at_once_are_shed_with_503() {
    let server = TestServer::start_with(Options { max_in_flight: 1, ..Options::default() }).await;
    let service = server.demo_service();
    // A body that never comes keeps the only place.
    let head = "POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    let head = format!("{head}content-length: 10\r\n\r\n");
    let slow = {
        let service = service.clone();
        tokio::spawn(async move { service.raw(head.as_bytes()).await })
    };
    let mut shed = service.get("/livez").await;
    for _ in 0..200 {
        if shed.status == 503 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        shed = service.get("/livez").await;
    }
    assert_eq!(shed.refusal(), (503, "temporarily_unavailable".to_owned()), "{shed}");
    assert_eq!(shed.header("retry-after"), "5");
    slow.abort();
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let server = TestServer::start().await;
    let head = "POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    let cut = format!("{head}content-length: 10\r\n\r\ngrant");
    let mut late = String::new();
    if tokio::time::timeout(std::time::Duration::from_secs(30), async {
        late = server.stranger().raw(cut.as_bytes()).await
    })
    .await
    .is_err()
    {
        panic!("the server waits for ever");
    }
    assert!(late.starts_with("HTTP/1.1 408"), "{late}");
    assert!(late.contains("invalid_request"), "{late}");
}

#[tokio::test]
async fn what_is_no_http_and_what_is_too_large_is_refused() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    let head = |more: &str| format!("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n");
    assert!(stranger.raw(head("").as_bytes()).await.starts_with("HTTP/1.1 200"));
    assert!(stranger.raw(b"nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    let large = stranger.raw(head(&format!("x: {}\r\n", "x".repeat(64 * 1024))).as_bytes()).await;
    assert!(large.is_empty() || large.starts_with("HTTP/1.1 431"), "{large}");
    let smuggled = "POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello";
    assert!(stranger.raw(smuggled.as_bytes()).await.starts_with("HTTP/1.1 400"));
}
