//! Misuse of HTTP/2, frame by frame, while others are still served.

use std::time::Duration;

use countersign_testkit::frames::{Frames, block, flag, kind};
use countersign_testkit::{CertificateFiles, Protocol, TestAuthority, TestDatabase};
use tokio::time::{sleep, timeout};

use crate::process::{Serving, demo_json};

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "auth.example"), (":path", "/livez")];
/// Longer than the server's own timeouts, and shorter than that of an unanswered ping, which must not be the cause.
const PATIENCE: Duration = Duration::from_secs(25);

struct Story {
    serving: Serving,
    database: TestDatabase,
    authority: TestAuthority,
    _files: CertificateFiles,
}

impl Story {
    fn begin() -> Self {
        Self::begin_with(&[])
    }

    fn begin_with(environment: &[(&str, &str)]) -> Self {
        let (database, authority) = (TestDatabase::fresh(), TestAuthority::default());
        let files = CertificateFiles::of(&authority.certify("127.0.0.1"));
        let flags = files.flags();
        let flags = [&["--demo"][..], &flags.each_ref().map(String::as_str)].concat();
        Self { serving: Serving::start(&database, &flags, environment), database, authority, _files: files }
    }

    async fn frames(&self, settings: &[(u16, u32)]) -> Frames {
        Frames::open(&self.authority, self.serving.address(), settings).await
    }

    /// Succeeds only if the server still serves others.
    async fn end(self) {
        let demo = demo_json(&self.database);
        let service = self.serving.demo_service(&demo).over_tls(&self.authority, Protocol::Http2);
        timeout(Duration::from_secs(5), service.client_credentials("all")).await.expect("others are served");
        self.serving.stop();
    }
}

/// Sends twice a second until the connection has ended.
async fn ends(mut has_ended: impl AsyncFnMut() -> bool) {
    let trying = async {
        while !has_ended().await {
            sleep(Duration::from_millis(500)).await;
        }
    };
    timeout(PATIENCE, trying).await.expect("the server waits forever");
}

/// `:authority`, more fields, and the expected status.
type HostRow<'a> = (Option<&'a str>, &'a [(&'a str, &'a str)], u16);

/// The headers of a GET request with additional or different fields.
fn get_with<'a>(authority: Option<&'a str>, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut head = vec![(":method", "GET"), (":scheme", "https"), (":path", "/livez")];
    head.extend(authority.map(|authority| (":authority", authority)));
    head.extend(more);
    head
}

#[tokio::test]
async fn a_request_has_exactly_one_host() {
    let story = Story::begin();
    let mut frames = story.frames(&[]).await;
    let rows: [HostRow<'_>; 9] = [
        (Some("auth.example"), &[], 200),
        (Some("auth.example:8443"), &[("host", "auth.example:8443")], 200),
        (Some("auth.example"), &[("host", "AUTH.example")], 200),
        (None, &[("host", "auth.example")], 200),
        (Some("auth.example"), &[("host", "evil.example")], 400),
        (Some("auth.example"), &[("host", "auth.example"), ("host", "evil.example")], 400),
        (Some("auth.example"), &[("host", "")], 400),
        (None, &[("host", "a"), ("host", "a")], 400),
        (None, &[], 400),
    ];
    for (stream, (authority, more, status)) in (1..).step_by(2).zip(rows) {
        frames.ask(stream, &get_with(authority, more)).await.unwrap();
        assert_eq!(frames.status(stream).await, status, "{authority:?} {more:?}");
    }
    let mut frames = story.frames(&[]).await;
    frames.ask(1, &get_with(Some("auth.example@evil.example"), &[])).await.unwrap();
    assert_ne!(frames.status(1).await, 200, "user information before the host");
    story.end().await;
}

#[tokio::test]
async fn another_servers_authority_is_misdirected() {
    let story = Story::begin();
    let mut frames = story.frames(&[]).await;
    for (stream, (authority, path, status)) in (1..).step_by(2).zip([
        ("127.0.0.1", "/oauth2/jwks", 200),
        ("evil.example", "/oauth2/jwks", 421),
        ("evil.example", "/readyz", 200),
        ("localhost:1", "/oauth2/jwks", 200),
    ]) {
        let head = [(":method", "GET"), (":scheme", "https"), (":authority", authority), (":path", path)];
        frames.ask(stream, &head).await.unwrap();
        assert_eq!(frames.status(stream).await, status, "{authority} {path}");
    }
    story.end().await;
}

#[tokio::test]
async fn request_headers_are_limited_to_32_kib_in_one_line_or_many() {
    const BOUND: usize = 32 * 1024;
    let story = Story::begin();
    for (lines, length, status) in
        [(1, BOUND - 1, 200), (1, BOUND + 1, 431), (50, BOUND - 1, 200), (50, BOUND + 1, 431)]
    {
        let mut head = GET.to_vec();
        // RFC 9113 §10.5.1: each field counts 32 bytes more than its length.
        let size = |name: &str, value: &str| name.len() + value.len() + 32;
        let room = length - head.iter().map(|(name, value)| size(name, value)).sum::<usize>();
        let shares = (0..lines).map(|line| room / lines + if line == 0 { room % lines } else { 0 });
        let values: Vec<String> = shares.map(|share| "x".repeat(share - size("x", ""))).collect();
        head.extend(values.iter().map(|value| ("x", value.as_str())));
        let mut frames = story.frames(&[]).await;
        frames.ask_in_pieces(1, &head).await.unwrap();
        assert_eq!(frames.status(1).await, status, "{lines} lines, {length} bytes");
    }
    story.end().await;
}

#[tokio::test]
async fn immediately_canceled_requests_end_their_connection() {
    let story = Story::begin();
    let mut frames = story.frames(&[]).await;
    let mut ended = false;
    for stream in (1..200_000).step_by(2) {
        let sent = async {
            frames.ask(stream, &GET).await?;
            frames.send(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes()).await
        };
        if sent.await.is_err() {
            ended = true;
            break;
        }
    }
    assert!(ended || timeout(PATIENCE, frames.next_of(kind::GOAWAY)).await.is_ok(), "the flood continues");
    story.end().await;
}

#[tokio::test]
async fn too_many_concurrent_requests_are_refused() {
    let story = Story::begin();
    let mut frames = story.frames(&[]).await;
    let head = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "127.0.0.1"),
        (":path", "/oauth2/token"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    for stream in (1..300).step_by(2) {
        // Each waits for its body, so all are in flight together.
        frames.send(kind::HEADERS, flag::END_HEADERS, stream, &block(&head)).await.unwrap();
    }
    let reset = timeout(PATIENCE, frames.next_of(kind::RST_STREAM)).await.unwrap().expect("a refusal");
    assert_eq!((reset.stream, reset.payload.as_slice()), (201, &7_u32.to_be_bytes()[..]), "REFUSED_STREAM");
    story.end().await;
}

#[tokio::test]
async fn headers_without_an_end_close_the_connection() {
    let story = Story::begin();
    // As fast as possible (the CONTINUATION flood of 2024).
    let mut flood = story.frames(&[]).await;
    flood.send(kind::HEADERS, flag::END_STREAM, 1, &block(&GET)).await.unwrap();
    let piece = block(&[("x", "x".repeat(120).as_str())].repeat(100));
    let mut ended = false;
    for _ in 0..10_000 {
        ended = flood.send(kind::CONTINUATION, 0, 1, &piece).await.is_err();
        if ended {
            break;
        }
    }
    assert!(ended || timeout(PATIENCE, flood.next_of(kind::GOAWAY)).await.is_ok(), "the flood continues");
    // One byte at a time: a CONTINUATION of 16,000 bytes that would take two hours.
    let mut slow = story.frames(&[]).await;
    slow.send(kind::HEADERS, flag::END_STREAM, 1, &block(&GET)).await.unwrap();
    slow.write(&[0, 0x3e, 0x80, kind::CONTINUATION, 0, 0, 0, 0, 1]).await.unwrap();
    ends(async || slow.write(&[0]).await.is_err()).await;
    story.end().await;
}

#[tokio::test]
async fn idle_clients_and_those_that_read_no_response_are_disconnected_even_if_they_answer_pings() {
    let story = Story::begin();
    let mut idle = story.frames(&[]).await;
    // INITIAL_WINDOW_SIZE 0: the server must not send any byte of a body.
    let mut stalled = story.frames(&[(4, 0)]).await;
    for stream in [1, 3, 5] {
        stalled.ask(stream, &get_with(Some("x"), &[])).await.unwrap();
    }
    let pings = async |frames: &mut Frames| {
        ends(async || {
            let sent = frames.send(kind::PING, 0, 0, &[0; 8]).await;
            sent.is_err() || matches!(timeout(Duration::from_millis(200), frames.next()).await, Ok(None))
        })
        .await;
    };
    tokio::join!(pings(&mut idle), pings(&mut stalled));
    story.end().await;
}

#[tokio::test]
async fn a_response_that_is_read_slowly_arrives_complete() {
    let story = Story::begin();
    let mut frames = story.frames(&[(4, 4000)]).await;
    let page = story.serving.actor("", "").over_tls(&story.authority, Protocol::Http2).get("/login").await.body;
    let (before, _) = page.split_once("/style.css").expect("a stylesheet");
    let path = format!("{}/style.css", before.rsplit('"').next().unwrap());
    let head = [(":method", "GET"), (":scheme", "https"), (":authority", "127.0.0.1"), (":path", path.as_str())];
    frames.ask(1, &head).await.unwrap();
    assert_eq!(frames.status(1).await, 200);
    let mut taken = 0;
    loop {
        let frame = timeout(PATIENCE, frames.next_of(kind::DATA)).await.unwrap().expect("the response continues");
        taken += frame.payload.len();
        if frame.flags & flag::END_STREAM != 0 {
            break;
        }
        if !frame.payload.is_empty() {
            sleep(Duration::from_millis(100)).await;
            let more = u32::try_from(frame.payload.len()).unwrap().to_be_bytes();
            for stream in [0, 1] {
                frames.send(8, 0, stream, &more).await.unwrap();
            }
        }
    }
    assert!(taken > 16 * 1024, "several pieces: {taken}");
    story.end().await;
}

#[tokio::test]
async fn at_shutdown_the_client_gets_a_goaway_and_requests_in_flight_are_served() {
    let story = Story::begin();
    let demo = demo_json(&story.database);
    let body = format!(
        "grant_type=client_credentials&client_id=demo-service&client_secret={}",
        demo["client_secret"].as_str().unwrap()
    );
    let mut frames = story.frames(&[]).await;
    let head = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "127.0.0.1"),
        (":path", "/oauth2/token"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    frames.send(kind::HEADERS, flag::END_HEADERS, 1, &block(&head)).await.unwrap();
    frames.send(kind::DATA, 0, 1, &body.as_bytes()[..10]).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    story.serving.signal("TERM");
    timeout(Duration::from_secs(5), frames.next_of(kind::GOAWAY)).await.unwrap().expect("GOAWAY");
    frames.send(kind::DATA, flag::END_STREAM, 1, &body.as_bytes()[10..]).await.unwrap();
    let answer = timeout(Duration::from_secs(5), frames.next_of(kind::HEADERS)).await.unwrap().expect("a response");
    assert_eq!(answer.payload[0], 0x88, "status 200");
    let (status, log) = tokio::task::spawn_blocking(|| story.serving.wait()).await.unwrap();
    assert!(status.success() && !log.contains("cut off"), "{status} {log}");
}

/// The kinds of all frames until the end of the connection.
async fn kinds_to_the_end(frames: &mut Frames) -> Vec<u8> {
    let reading = async {
        let mut kinds = Vec::new();
        while let Some(frame) = frames.next().await {
            kinds.push(frame.kind);
        }
        kinds
    };
    timeout(Duration::from_secs(5), reading).await.expect("the connection ends")
}

#[tokio::test]
async fn during_the_drain_requests_that_cross_the_goaway_and_new_connections_are_served() {
    let story = Story::begin_with(&[("COUNTERSIGN_HTTP_DRAIN_S", "60")]);
    let mut kept = story.frames(&[]).await;
    kept.ask(1, &GET).await.unwrap();
    assert_eq!(kept.status(1).await, 200);
    let unused = story.frames(&[]).await;
    story.serving.signal("TERM");
    let goaway = timeout(Duration::from_secs(5), kept.next_of(kind::GOAWAY)).await.unwrap().expect("GOAWAY");
    assert_eq!(goaway.payload[..4], [0x7f, 0xff, 0xff, 0xff], "nothing is refused yet");
    kept.ask(3, &GET).await.unwrap();
    assert!(kinds_to_the_end(&mut kept).await.contains(&kind::HEADERS), "it crossed the GOAWAY and is served");
    for mut frames in [unused, story.frames(&[]).await] {
        sleep(Duration::from_millis(300)).await;
        frames.ask(1, &GET).await.unwrap();
        let kinds = kinds_to_the_end(&mut frames).await;
        assert!(kinds.contains(&kind::HEADERS) && kinds.contains(&kind::GOAWAY), "{kinds:?}");
    }
    story.serving.signal("TERM");
    let (status, log) = tokio::task::spawn_blocking(|| story.serving.wait()).await.unwrap();
    assert!(status.success() && !log.contains("cut off"), "{status} {log}");
}
