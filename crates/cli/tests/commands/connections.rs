//! Connection limits: what is closed over TLS, what is exempt, and what the operator is told.

use std::process::Command;
use std::time::Duration;

use countersign_testkit::frames::{Frames, kind};
use countersign_testkit::{Actor, CertificateFiles, TestAuthority, TestDatabase};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::process::{Serving, countersign, serve_arguments};

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "127.0.0.1"), (":path", "/livez")];
const POST: [(&str, &str); 5] = [
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "127.0.0.1"),
    (":path", "/oauth2/token"),
    ("content-type", "application/x-www-form-urlencoded"),
];
/// Shorter than the timeout of idle connections.
const PATIENCE: Duration = Duration::from_secs(5);

fn room_for(connections: &str) -> [(&str, &str); 2] {
    [("COUNTERSIGN_HTTP_MAX_CONNECTIONS", connections), ("COUNTERSIGN_HTTP_MAX_CONNECTIONS_PER_ADDRESS", "100")]
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed_with_a_goaway_and_one_with_an_open_stream_is_not() {
    let (database, authority) = (TestDatabase::fresh(), TestAuthority::default());
    let files = CertificateFiles::of(&authority.certify("127.0.0.1"));
    let flags = files.flags();
    let flags = flags.each_ref().map(String::as_str);
    let serving = Serving::start(&database, &flags, &room_for("2"));
    let open = async || Frames::open(&authority, serving.address(), &[]).await;
    let mut handshake = TcpStream::connect(serving.address()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut busy = open().await;
    busy.begin(1, &POST).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut idle = open().await;
    idle.ask(1, &GET).await.unwrap();
    assert_eq!(idle.status(1).await, 200);
    let closed = timeout(PATIENCE, handshake.read(&mut [0; 10])).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "a connection without a handshake makes room: {closed:?}");
    let mut second = open().await;
    second.ask(1, &GET).await.unwrap();
    let goaway = timeout(PATIENCE, idle.next_of(kind::GOAWAY)).await.expect("no connection is closed");
    assert!(goaway.is_some(), "it gets a GOAWAY before it is closed");
    let end = timeout(PATIENCE, idle.next()).await;
    assert!(matches!(end, Ok(None)), "it is closed although it answers nothing");
    assert_eq!(timeout(PATIENCE, second.status(1)).await, Ok(200));
    busy.end(1, b"grant_type=x").await.unwrap();
    assert_eq!(timeout(PATIENCE, busy.status(1)).await, Ok(401), "a request in flight gets its response");
    serving.stop();
}

#[tokio::test]
async fn an_http2_peer_that_reads_no_response_or_sends_no_body_makes_room_after_three_seconds() {
    let (database, authority) = (TestDatabase::fresh(), TestAuthority::default());
    let files = CertificateFiles::of(&authority.certify("127.0.0.1"));
    let flags = files.flags();
    let flags = flags.each_ref().map(String::as_str);
    let serving = Serving::start(&database, &flags, &room_for("2"));
    // INITIAL_WINDOW_SIZE 0: the server must not send any byte of a body.
    let mut reader = Frames::open(&authority, serving.address(), &[(4, 0)]).await;
    reader.ask(1, &GET).await.unwrap();
    let mut sender = Frames::open(&authority, serving.address(), &[]).await;
    sender.begin(1, &POST).await.unwrap();
    // Otherwise, the second newcomer could find the first one idle before the sender counts as idle.
    tokio::time::sleep(Duration::from_millis(3500)).await;
    let mut newcomers = Vec::new();
    for _ in 0..2 {
        let mut newcomer = Frames::open(&authority, serving.address(), &[]).await;
        newcomer.ask(1, &GET).await.unwrap();
        assert_eq!(timeout(PATIENCE, newcomer.status(1)).await, Ok(200));
        newcomers.push(newcomer);
    }
    for slow in [&mut reader, &mut sender] {
        let goaway = timeout(PATIENCE, slow.next_of(kind::GOAWAY)).await;
        assert!(matches!(goaway, Ok(Some(_))), "both were closed");
    }
    serving.stop();
}

#[tokio::test]
async fn health_checks_work_on_metrics_listen_when_all_connections_are_used() {
    let database = TestDatabase::fresh();
    let metrics = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let listen = metrics.to_string();
    let environment = [&room_for("2")[..], &[("COUNTERSIGN_METRICS_LISTEN", listen.as_str())]].concat();
    let serving = Serving::start(&database, &[], &environment);
    serving.ready().await;
    let mut busy = Vec::new();
    // So many that the last one waits for a minute, even if slow ones are closed.
    for _ in 0..50 {
        let mut stream = TcpStream::connect(serving.address()).await.unwrap();
        let head =
            "POST /oauth2/token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded\r\n";
        let body = format!("{head}content-length: 100\r\n\r\ngrant");
        tokio::io::AsyncWriteExt::write_all(&mut stream, body.as_bytes()).await.unwrap();
        busy.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let front = Actor::new(serving.address(), "", "");
    assert!(timeout(Duration::from_secs(1), front.get("/livez")).await.is_err(), "all connections are in use");
    let operator = Actor::new(metrics, "", "");
    for path in ["/livez", "/readyz", "/healthz", "/metrics"] {
        let answer = timeout(PATIENCE, operator.get(path)).await.expect("exempt from every limit");
        assert_eq!(answer.status, 200, "{path}: {answer}");
    }
    assert_eq!(operator.get("/oauth2/jwks").await.status, 404, "and nothing else is served there");
    serving.stop();
}

/// Serves with soft and hard limits for file descriptors. Returns the limits of the process and its log.
fn serve_with_limits(soft: &str, hard: &str) -> (String, String) {
    let database = TestDatabase::fresh();
    let mut arguments = serve_arguments(&database);
    arguments.extend(["--listen", "127.0.0.1:0"].map(str::to_owned));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let serve = countersign(&arguments);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"")]);
    shell.arg(serve.get_program()).args(serve.get_args()).env_clear();
    let serving = Serving::spawn(shell.stdin(std::process::Stdio::null()));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", serving.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned();
    (line, serving.stop())
}

#[tokio::test]
async fn the_descriptor_limit_is_raised_to_the_hard_limit_with_a_warning_if_that_is_too_low() {
    let (limits, log) = serve_with_limits("300", "12000");
    assert_eq!(limits.split_whitespace().collect::<Vec<_>>()[3..5], ["12000", "12000"]);
    assert!(!log.contains("limit for open files"), "{log}");
    let (_, log) = serve_with_limits("300", "400");
    let warning = "the limit for open files and sockets is 400, but 10000 connections (http.max_connections) need \
                   10100, so the server accepts at most 300 connections";
    assert!(log.contains("WARN") && log.contains(warning) && log.contains("LimitNOFILE="), "{log}");
    let directory = tempfile::tempdir().unwrap();
    let doctor = |hard: &str| {
        let line = format!("ulimit -n {hard} && exec \"$0\" doctor --data-dir \"$1\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &line, env!("CARGO_BIN_EXE_countersign")]).arg(directory.path()).env_clear();
        String::from_utf8(shell.output().unwrap().stdout).unwrap()
    };
    let judged = "for servers started from this shell: ";
    let told = doctor("400");
    assert!(
        told.lines().any(|line| line.starts_with("warn") && line.contains(judged) && line.contains(warning)),
        "{told}"
    );
    let told = doctor("12000");
    assert!(told.lines().any(|line| line.starts_with("ok    descriptors") && line.contains(judged)), "{told}");
}
