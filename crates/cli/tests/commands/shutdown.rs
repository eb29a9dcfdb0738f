//! SIGTERM and SIGINT let requests in flight finish.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use countersign_server::clock::Clock;
use countersign_testkit::{Actor, TestDatabase};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::{Serving, countersign, demo_json, serve_arguments};

/// The number of starts that are stopped immediately.
const STOPS: usize = 10;

#[tokio::test]
async fn a_request_in_flight_is_served_and_a_new_connection_is_not_accepted() {
    for signal in ["TERM", "INT"] {
        let database = TestDatabase::fresh();
        let serving = Serving::demo(&database);
        serving.ready().await;
        let demo = demo_json(&database);
        let body = format!(
            "grant_type=client_credentials&client_id=demo-service&client_secret={}",
            demo["client_secret"].as_str().unwrap()
        );
        let head = format!(
            "POST /oauth2/token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        let mut under_way = TcpStream::connect(serving.address()).await.unwrap();
        under_way.write_all(head.as_bytes()).await.unwrap();
        under_way.write_all(&body.as_bytes()[..10]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        serving.signal(signal);
        let address = serving.address();
        let mut refused = false;
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            refused = TcpStream::connect(address).await.is_err();
            if refused {
                break;
            }
        }
        assert!(refused, "{signal}: still accepting");
        under_way.write_all(&body.as_bytes()[10..]).await.unwrap();
        let mut answer = String::new();
        under_way.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{signal}: {answer}");
        let (status, log) = serving.wait();
        assert!(status.success(), "{signal}: {status} {log}");
    }
}

/// Serves the demo with this `http.drain_s`.
async fn serving_with_drain(database: &TestDatabase, drain_s: &str) -> Serving {
    let serving = Serving::start(database, &["--demo"], &[("COUNTERSIGN_HTTP_DRAIN_S", drain_s)]);
    serving.ready().await;
    serving
}

/// Requests `/livez` on this connection. Returns the headers and the body.
async fn ask(connection: &mut TcpStream) -> String {
    connection.write_all(b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("ok\n") {
        let mut part = [0; 1024];
        let length = connection.read(&mut part).await.unwrap();
        assert!(length > 0, "it was closed: {answer}");
        answer.push_str(std::str::from_utf8(&part[..length]).unwrap());
    }
    answer
}

#[tokio::test]
async fn after_sigterm_it_is_not_ready_and_serves_open_connections_before_closing_them() {
    let database = TestDatabase::fresh();
    let serving = serving_with_drain(&database, "3").await;
    let mut kept = TcpStream::connect(serving.address()).await.unwrap();
    let mut idle = TcpStream::connect(serving.address()).await.unwrap();
    assert!(!ask(&mut kept).await.contains("connection: close"));
    ask(&mut idle).await;
    let begun = Clock::system();
    serving.signal("TERM");
    let service = serving.demo_service(&demo_json(&database));
    let mut ready = service.get("/readyz").await;
    // The signal has been sent.
    while ready.status == 200 {
        ready = service.get("/readyz").await;
    }
    assert_eq!((ready.status, ready.body.as_str()), (503, "stopping\n"));
    assert_eq!(service.get("/livez").await.status, 200);
    let last = ask(&mut kept).await;
    assert!(last.starts_with("HTTP/1.1 200") && last.contains("connection: close"), "{last}");
    assert_eq!(kept.read(&mut [0]).await.unwrap(), 0, "then it is closed");
    while begun.monotonic_ms() < 2500 {
        let issued = service.client_credentials("all").await;
        assert_eq!(issued.header("connection"), "close");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(ask(&mut idle).await.contains("connection: close"), "it stayed open while it was idle");
    let address = serving.address();
    let (status, log) = serving.wait();
    assert!(status.success() && !log.contains("cut off"), "{status} {log}");
    assert!((3000..5000).contains(&begun.monotonic_ms()), "{} ms", begun.monotonic_ms());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_second_signal_or_ctrl_c_skips_the_drain() {
    for signals in [&["TERM", "TERM"][..], &["TERM", "INT"], &["INT"]] {
        let database = TestDatabase::fresh();
        let serving = serving_with_drain(&database, "60").await;
        let stranger = serving.actor("nobody", "x");
        let begun = Clock::system();
        for (index, signal) in signals.iter().enumerate() {
            serving.signal(signal);
            if index + 1 < signals.len() {
                while stranger.get("/readyz").await.status != 503 {}
            }
        }
        let (status, log) = serving.wait();
        assert!(status.success() && begun.monotonic_ms() < 5000, "{signals:?}: {status} {log}");
    }
}

#[test]
fn a_stop_immediately_after_the_start_is_not_an_error() {
    let database = TestDatabase::fresh();
    for _ in 0..STOPS {
        let log = Serving::start(&database, &[], &[]).stop();
        assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_blocks_neither_requests_nor_shutdown() {
    let database = TestDatabase::fresh();
    let mut arguments = serve_arguments(&database);
    arguments.extend(["--listen", "127.0.0.1:0"].map(str::to_owned));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut child = countersign(&arguments).env("COUNTERSIGN_HTTP_DRAIN_S", "0").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.find_map(|line| line.unwrap().strip_prefix("Ready: http://").map(str::to_owned)).unwrap();
    let stranger = Actor::new(ready.parse().unwrap(), "nobody", "x");
    // A pipe holds 64 KiB, which about 300 refusals fill.
    for _ in 0..1000 {
        assert_eq!(stranger.token(&[("grant_type", "client_credentials")]).await.status / 100, 4);
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    for _ in 0..500 {
        if child.try_wait().unwrap().is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("SIGTERM did not end it");
}
