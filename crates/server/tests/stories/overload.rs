//! Overload: excess requests get a cheap 503, and health checks still work.

use std::pin::pin;
use std::time::Duration;

use countersign_testkit::{Answer, Options, TestServer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::guessing::{ELSEWHERE, HERE, server};

/// Returns the response to headers that announce a large body, which is never sent.
async fn answer_to_head(server: &TestServer, line: &str, more: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("{line} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 60000\r\n{more}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    read.expect("the body is awaited").unwrap();
    String::from_utf8(answer).unwrap()
}

/// Requests this many tokens concurrently.
fn ask(server: &TestServer, times: usize) -> JoinSet<Answer> {
    let mut asked = JoinSet::new();
    for _ in 0..times {
        let service = server.demo_service();
        asked.spawn(async move { service.token(&[("grant_type", "client_credentials")]).await });
    }
    asked
}

async fn until_waiting(server: &TestServer, waiting: usize) {
    let shown = format!("countersign_requests_waiting {waiting}\n");
    let waits = async {
        while !server.metrics().contains(&shown) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), waits).await.expect("as many wait");
}

#[tokio::test]
async fn above_the_limit_every_group_of_routes_returns_503_before_reading_the_body() {
    let server = TestServer::start().await;
    let places = server.state.take_all_places();
    for (line, more, kind) in [
        ("POST /oauth2/token", "expect: 100-continue\r\n", r#""error":"temporarily_unavailable""#),
        ("POST /OAuth2/Token/oauthclient", "", r#""error":"temporarily_unavailable""#),
        ("POST /oauth2/introspect", "", r#""error":"temporarily_unavailable""#),
        ("POST /oauth2/revoke", "", r#""error":"temporarily_unavailable""#),
        ("GET /oauth2/jwks", "", r#""error":"temporarily_unavailable""#),
        ("GET /.well-known/oauth-authorization-server", "", r#""error":"temporarily_unavailable""#),
        ("POST /resource/reports", "", r#""error":"temporarily_unavailable""#),
        ("POST /admin/v1/clients", "expect: 100-continue\r\n", "urn:countersign:problem:unavailable"),
        ("GET /admin/v1/clients", "", "urn:countersign:problem:unavailable"),
        ("POST /api/auth/beginAuth", "expect: 100-continue\r\n", r#""ErrorCode":"temporarily_unavailable""#),
        ("GET /api/getUISettings", "", r#""ErrorCode":"temporarily_unavailable""#),
        ("GET /login", "accept: text/html\r\n", "<title>Server overloaded"),
        ("GET /nowhere", "", r#""error":"temporarily_unavailable""#),
    ] {
        let answer = answer_to_head(&server, line, more).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{line}: {answer}");
        assert!(answer.contains("retry-after: 5\r\n") && answer.contains("x-request-id: "), "{line}: {answer}");
        assert!(answer.contains("connection: close\r\n") && answer.contains(kind), "{line}: {answer}");
    }
    for probe in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(server.stranger().get(probe).await.status, 200, "{probe}");
    }
    let service = server.demo_service();
    let refused = service.token(&[("grant_type", "client_credentials")]).await;
    assert_eq!((refused.status, refused.header("connection")), (503, ""), "a complete body needs no closing");
    drop(places);
    service.client_credentials("all").await;
}

#[tokio::test]
async fn requests_that_waited_too_long_get_a_503_and_a_short_queue_is_always_served() {
    let server = TestServer::start().await;
    let turns = server.state.take_all_turns();
    let asked = ask(&server, 20);
    until_waiting(&server, 20).await;
    server.advance(1).await;
    drop(turns);
    let answers = asked.join_all().await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((served.len(), refused.len()), (8, 12));
    for answer in refused {
        assert_eq!(answer.refusal(), (503, "temporarily_unavailable".to_owned()));
        assert_eq!((answer.header("retry-after"), answer.header("connection")), ("5", ""));
    }
    let metrics = server.metrics();
    assert!(
        metrics.contains("countersign_requests_waiting 0\n") && metrics.contains("countersign_requests_in_flight 0\n"),
        "{metrics}"
    );
    server.demo_service().client_credentials("all").await;
}

/// Takes all turns of a server with a standing queue, and lets twenty page requests wait. Returns the turns and these requests.
async fn keep_waiting(server: &TestServer) -> (impl Sized + use<>, JoinSet<Answer>) {
    let turns = server.state.take_all_turns();
    let late = ask(server, 20);
    until_waiting(server, 20).await;
    server.advance(1).await;
    drop(turns);
    assert!(late.join_all().await.iter().any(|answer| answer.status == 503), "it is a standing queue");
    let turns = server.state.take_all_turns();
    let mut people = JoinSet::new();
    for _ in 0..20 {
        let person = server.stranger();
        people.spawn(async move { person.get("/api/getUISettings").await });
    }
    until_waiting(server, 20).await;
    (turns, people)
}

/// Requests a token that must not wait for a turn, and returns the response.
async fn token_without_turn(server: &TestServer) -> Answer {
    let service = server.demo_service();
    let asked = service.token(&[("grant_type", "client_credentials")]);
    timeout(Duration::from_secs(5), asked).await.expect("it waits")
}

#[tokio::test]
async fn requests_that_would_wait_too_long_in_a_standing_queue_are_not_queued() {
    let server = TestServer::start().await;
    let (operator, service) = (server.operator().await, server.demo_service());
    let (turns, people) = keep_waiting(&server).await;
    let refused = token_without_turn(&server).await;
    assert_eq!(refused.refusal(), (503, "temporarily_unavailable".to_owned()));
    assert_eq!((refused.header("retry-after"), refused.header("connection")), ("5", ""));
    let head = "POST /oauth2/token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 3\r\n\
                content-type: application/x-www-form-urlencoded\r\n\r\n";
    let rest = "a=b".to_owned() + "GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    let answers = service.raw_in_pieces(&[head.as_bytes(), rest.as_bytes()]).await;
    assert!(answers.starts_with("HTTP/1.1 503 ") && answers.contains("HTTP/1.1 200 OK"), "a later body: {answers}");
    for probe in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(service.get(probe).await.status, 200, "{probe}");
    }
    let explained = format!("/refusals/{}", refused.header("x-request-id"));
    let look = tokio::spawn(async move { operator.get(&explained).await });
    until_waiting(&server, 21).await;
    drop(turns);
    let told = look.await.unwrap().json();
    assert_eq!(told["endpoint"], "token");
    assert_eq!(told["reason"], "overloaded: the queue of requests is too long");
    assert!(people.join_all().await.iter().all(|answer| answer.status == 200), "they waited");
    let metrics = server.metrics();
    let refused = "countersign_tokens_issued_total{grant=\"other\",result=\"temporarily_unavailable\"} 14\n";
    assert!(metrics.contains(refused), "{metrics}");
    for _ in 0..10 {
        service.client_credentials("all").await;
    }
}

#[tokio::test]
async fn if_no_request_in_a_standing_queue_is_served_a_new_one_overtakes_it() {
    let server = TestServer::start().await;
    let (turns, people) = keep_waiting(&server).await;
    for _ in 0..3 {
        assert_eq!(token_without_turn(&server).await.status, 503);
        server.advance_clock_alone(1);
        assert_eq!(token_without_turn(&server).await.status, 200);
    }
    drop(turns);
    people.join_all().await;
    server.demo_service().client_credentials("all").await;
}

#[tokio::test]
async fn slow_bodies_take_no_place() {
    let server = TestServer::start_with(Options { max_in_flight: 1, ..Options::default() }).await;
    let mut slow = Vec::new();
    for line in ["POST /oauth2/token", "POST /resource/reports", "POST /api/auth/beginAuth", "POST /admin/v1/clients"] {
        for _ in 0..10 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            let head = format!("{line} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n");
            stream.write_all(format!("{head}content-length: 100\r\n\r\n{{").as_bytes()).await.unwrap();
            slow.push(stream);
        }
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.demo_service().client_credentials("all").await;
    let operator = server.operator().await;
    assert_eq!(operator.post("/clients", json!({ "client_id": "job" })).await.status, 201);
    assert_eq!(server.browser().get("getUISettings").await.status, 200);
    drop(slow);
}

#[tokio::test]
async fn an_in_process_call_from_a_page_takes_only_one_place() {
    let server = TestServer::start_with(Options { max_in_flight: 1, ..Options::default() }).await;
    let mut browser = server.demo_browser().await;
    assert!(browser.token_set().await["access_token"].is_string());
}

#[tokio::test]
async fn revocations_waiting_for_the_database_leave_places_for_tokens_on_sqlite() {
    let server = TestServer::start_with(Options { max_in_flight: 8, ..Options::default() }).await;
    let service = server.demo_service();
    let token = service.client_credentials("all").await.text("access_token");
    let held = server.state.store.begin_change(server.state.now()).await.unwrap();
    let mut revocations = JoinSet::new();
    for _ in 0..20 {
        let (service, token) = (service.clone(), token.clone());
        revocations.spawn(async move { service.revoke(&token).await.status });
    }
    for _ in 0..16 {
        let refused =
            timeout(Duration::from_secs(4), revocations.join_next()).await.expect("more than half of the places");
        assert_eq!(refused.unwrap().unwrap(), 503);
    }
    for _ in 0..20 {
        service.client_credentials("all").await;
    }
    drop(held);
    assert_eq!(revocations.join_all().await, [200; 4]);
}

#[tokio::test]
async fn a_flood_of_slow_changes_blocks_neither_tokens_nor_pages_nor_shutdown() {
    let server = TestServer::start_with(Options { max_in_flight: 70, ..Options::default() }).await;
    let (operator, service) = (server.operator().await, server.demo_service());
    let first = server.state.store.begin_change(server.state.now()).await.unwrap();
    let mut changes = JoinSet::new();
    for number in 0..300 {
        let operator = operator.clone();
        changes.spawn(async move {
            let answer = operator.post("/clients", json!({ "client_id": format!("job-{number}") })).await;
            (answer.status, answer.header("retry-after").to_owned())
        });
    }
    // All except those that wait are refused immediately. One address gets half of the places.
    let mut refused = 0;
    while refused < 300 - 32 {
        let answer = timeout(Duration::from_secs(20), changes.join_next()).await.expect("they are refused").unwrap();
        assert_eq!(answer.unwrap(), (503, "5".to_owned()));
        refused += 1;
    }
    for _ in 0..20 {
        service.client_credentials("all").await;
    }
    assert_eq!(server.browser().get("getUISettings").await.status, 200);
    assert_eq!(operator.get("/clients").await.status, 200, "reads have their own limit");
    drop(first);
    while let Some(answer) = changes.join_next().await {
        assert_eq!(answer.unwrap().0, 201);
    }
}

#[tokio::test]
async fn one_address_cannot_take_all_places_of_page_calls_or_of_administrators() {
    let server = server().await;
    let turns = server.state.take_all_turns();
    for path in ["/api/getUISettings", "/admin/v1/clients"] {
        let ask = |from: &str| {
            let stranger = server.stranger();
            let request = stranger.request("GET", path).header("x-forwarded-for", from);
            async move { stranger.send(request).await.status }
        };
        let mut of_one = JoinSet::new();
        for _ in 0..100 {
            of_one.spawn(ask(ELSEWHERE));
        }
        for _ in 32..100 {
            let refused = timeout(Duration::from_secs(10), of_one.join_next()).await.expect("it is refused");
            assert_eq!(refused.unwrap().unwrap(), 503, "{path}");
        }
        let mut other = pin!(ask(HERE));
        let waiting = timeout(Duration::from_millis(200), &mut other).await;
        assert!(waiting.is_err(), "it is not refused: {waiting:?}");
    }
    drop(turns);
}
