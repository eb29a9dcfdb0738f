//! The binary with TLS: successful and failing starts, and certificate renewal while it runs.

use std::path::Path;
use std::time::Duration;

use countersign_testkit::{Actor, CertificateFiles, Certified, Protocol, TestAuthority, TestDatabase};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::process::{Serving, demo_json, failed_line, run, serve_arguments};

/// A running demo, its authority and its files.
fn serving() -> (Serving, TestDatabase, TestAuthority, CertificateFiles) {
    let (database, authority) = (TestDatabase::fresh(), TestAuthority::default());
    let files = CertificateFiles::of(&authority.certify("127.0.0.1"));
    (Serving::over_tls(&database, &files), database, authority, files)
}

/// The HTTP version of a response.
async fn version(actor: &Actor) -> String {
    let response = actor.request("GET", "/livez").send().await.unwrap();
    let version = format!("{:?}", response.version());
    assert_eq!(response.text().await.unwrap(), "ok\n");
    version
}

/// Waits until new connections get this certificate. The server compares the files every five seconds.
async fn shown(authority: &TestAuthority, serving: &Serving, certified: &Certified) {
    for _ in 0..150 {
        if authority.shown_at(serving.address()).await == certified.der() {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("the new certificate is never shown");
}

#[tokio::test]
async fn a_token_is_requested_and_used_over_both_protocols() {
    let (serving, database, authority, _files) = serving();
    assert!(serving.issuer.starts_with("https://127.0.0.1:"), "{}", serving.issuer);
    let demo = demo_json(&database);
    assert!(demo["token_endpoint"].as_str().unwrap().starts_with(&serving.issuer));
    for (protocol, expected) in [(Protocol::Http1, "HTTP/1.1"), (Protocol::Http2, "HTTP/2.0")] {
        let service = serving.demo_service(&demo).over_tls(&authority, protocol);
        assert_eq!(version(&service).await, expected);
        let token = service.client_credentials("all").await.text("access_token");
        assert_eq!(service.call("GET", "/resource/whoami", &token).await.status, 200);
        assert_eq!(service.introspect(&token).await.json()["iss"], serving.issuer);
        assert_eq!(service.get("/.well-known/oauth-authorization-server").await.text("issuer"), serving.issuer);
    }
    let stranger = serving.actor("", "").over_tls(&TestAuthority::default(), Protocol::Http1);
    assert!(stranger.request("GET", "/livez").send().await.is_err(), "another authority is not trusted");
    serving.stop();
}

#[tokio::test]
async fn a_renewed_certificate_is_used_for_new_connections_and_open_ones_continue() {
    let (serving, _database, authority, files) = serving();
    let mut under_way = authority.connect(serving.address(), &["http/1.1"]).await.unwrap();
    let mut ask = async || {
        under_way.write_all(b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.unwrap();
        let mut answer = [0; 15];
        under_way.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        // Reads the rest of the response to its end.
        let mut last = Vec::new();
        while !last.ends_with(b"\r\n\r\nok\n") {
            last.push(under_way.read_u8().await.unwrap());
        }
    };
    ask().await;
    let second = authority.certify("127.0.0.1");
    files.write(&second);
    serving.signal("HUP");
    for _ in 0..50 {
        if authority.shown_at(serving.address()).await == second.der() {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(authority.shown_at(serving.address()).await, second.der(), "immediately after SIGHUP");
    ask().await;
    let third = authority.certify("127.0.0.1");
    files.write(&third);
    // The open connection is used meanwhile, or it would be closed as idle.
    tokio::join!(shown(&authority, &serving, &third), async {
        for _ in 0..6 {
            sleep(Duration::from_secs(1)).await;
            ask().await;
        }
    });
    ask().await;
    let log = serving.stop();
    assert!(log.contains("reloaded the certificate"), "{log}");
}

#[tokio::test]
async fn a_broken_renewal_is_reported_once_and_the_old_certificate_stays() {
    let (database, authority) = (TestDatabase::fresh(), TestAuthority::default());
    let first = authority.certify("127.0.0.1");
    let files = CertificateFiles::of(&first);
    let serving = Serving::over_tls(&database, &files);
    files.write(&Certified { key: authority.certify("127.0.0.1").key, ..first.clone() });
    for _ in 0..3 {
        serving.signal("HUP");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(authority.shown_at(serving.address()).await, first.der());
    let log = serving.stop();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("key.pem") && lines[0].contains("keeping the previous one"), "{log}");
}

#[tokio::test]
async fn an_expiring_certificate_or_one_for_another_name_causes_one_warning() {
    let (database, authority) = (TestDatabase::fresh(), TestAuthority::default());
    let soon = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() + 3 * 24 * 3600 + 60;
    let files = CertificateFiles::of(&authority.certify_for("other.example", 0, soon));
    let serving = Serving::over_tls(&database, &files);
    for _ in 0..3 {
        serving.signal("HUP");
        sleep(Duration::from_millis(100)).await;
    }
    let log = serving.stop();
    let count = |what: &str| log.lines().filter(|line| line.contains("WARN") && line.contains(what)).count();
    assert_eq!((count("expires soon"), count("does not name the issuer's host")), (1, 1), "{log}");
}

#[test]
fn every_failing_start_writes_one_line_that_names_the_file_and_creates_nothing() {
    let (database, authority) = (TestDatabase::fresh(), TestAuthority::default());
    let good = authority.certify("127.0.0.1");
    let files = CertificateFiles::of(&good);
    let start = |more: &[&str]| {
        let arguments = serve_arguments(&database);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let line = failed_line(&run(&arguments, &[("COUNTERSIGN_LISTEN", "127.0.0.1:0")]));
        assert!(!database.directory.path().join("data").exists(), "{line}");
        line
    };
    let flags = files.flags();
    let flags = flags.each_ref().map(String::as_str);
    let (cert, key) = (flags[1], flags[3]);
    let broken = |path: &str, content: &str, why: &str| {
        files.write(&good);
        std::fs::write(path, content).unwrap();
        let line = start(&flags);
        assert!(line.contains(&format!("{path}: ")) && line.contains(why), "{line}");
    };
    let other = authority.certify("127.0.0.1");
    let cut = |text: &str| text[..text.len() / 2].to_owned();
    let with = |text: &str, from: &str, to: &str| text.replace(from, to);
    let rows = [
        (cert, "hello".to_owned(), "not a PEM file"),
        (cert, String::new(), "not a PEM file"),
        (cert, good.key.clone(), "no certificate"),
        (cert, cut(&good.cert), "-----END"),
        (cert, with(&good.cert, "M", "*"), "base64"),
        (cert, with(&good.cert, "MII", "AAA"), "malformed"),
        (cert, "x".repeat(2 << 20), "too large"),
        (cert, authority.certify_for("127.0.0.1", 0, 1_577_836_800).cert, "expired at Jan  1 00:00:00 2020"),
        (cert, authority.certify_for("127.0.0.1", 4_000_000_000, 4_100_000_000).cert, "not valid before"),
        (key, "hello".to_owned(), "not a PEM file"),
        (key, good.cert.clone(), "no private key"),
        (key, with(&good.key, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "encrypted"),
        (key, with(&good.key, "\nM", "\nA"), "unusable private key"),
        (key, other.key, "does not match the first certificate"),
    ];
    for (path, content, why) in rows {
        broken(path, &content, why);
    }
    files.write(&good);
    for (path, at) in [(cert, 1), (key, 3)] {
        for (wrong, why) in [("/nowhere/x.pem", "No such file"), ("/dev/zero", "not a regular"), ("/", "not a regular")]
        {
            let mut flags = flags;
            flags[at] = wrong;
            let line = start(&flags);
            assert!(line.contains(wrong) && line.contains(why), "{path}: {line}");
        }
    }
    let alone = start(&["--tls-cert", cert]);
    assert!(alone.contains("tls.key"), "{alone}");
    assert!(start(&["--tls-key", key]).contains("tls.cert"));
    let clear = start(&[&flags[..], &["--issuer", "http://127.0.0.1:8443"]].concat());
    assert!(clear.contains("issuer") && clear.contains("must use https"), "{clear}");
    assert!(Path::new(cert).exists());
}

#[tokio::test]
async fn plain_http_gets_an_alert_and_an_unfinished_handshake_delays_nobody() {
    let (serving, _database, authority, _files) = serving();
    let answer = async |sent: String| {
        let mut plain = TcpStream::connect(serving.address()).await.unwrap();
        plain.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        plain.read_to_end(&mut answer).await.expect("an end, not a reset");
        answer
    };
    let typed = answer(format!("GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nx: {}\r\n\r\n", "x".repeat(20_000))).await;
    let typed = String::from_utf8(typed).unwrap();
    assert!(typed.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{typed}");
    assert!(typed.ends_with("\r\n\r\nthis port expects TLS; use https://\n"), "{typed}");
    let alert = answer("x".repeat(20_000)).await;
    assert_eq!(alert.first(), Some(&21), "a TLS alert: {alert:?}");
    // The beginning of a ClientHello, and nothing more.
    let mut hanging = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(serving.address()).await.unwrap();
        stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        hanging.push(stream);
    }
    let stranger = serving.actor("", "").over_tls(&authority, Protocol::Http2);
    assert_eq!(version(&stranger).await, "HTTP/2.0");
    let mut rest = [0; 64];
    let end = hanging[0].read(&mut rest);
    assert!(timeout(Duration::from_secs(20), end).await.is_ok(), "the server waits forever");
    // No request was received, so nothing delays the shutdown.
    let mut late = TcpStream::connect(serving.address()).await.unwrap();
    late.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    timeout(Duration::from_secs(5), tokio::task::spawn_blocking(|| serving.stop()))
        .await
        .expect("immediately")
        .unwrap();
}

#[tokio::test]
async fn a_stalled_handshake_is_closed_for_another_connection() {
    let (database, authority) = (TestDatabase::fresh(), TestAuthority::default());
    let files = CertificateFiles::of(&authority.certify("127.0.0.1"));
    let flags = files.flags();
    let environment =
        [("COUNTERSIGN_HTTP_MAX_CONNECTIONS", "2"), ("COUNTERSIGN_HTTP_MAX_CONNECTIONS_PER_ADDRESS", "3")];
    let serving = Serving::start(&database, &flags.each_ref().map(String::as_str)[..], &environment);
    let mut first = TcpStream::connect(serving.address()).await.unwrap();
    let _second = TcpStream::connect(serving.address()).await.unwrap();
    let third = authority.connect(serving.address(), &["h2"]);
    timeout(Duration::from_secs(5), third).await.expect("there is room").unwrap();
    let mut rest = [0; 1];
    let end = first.read(&mut rest);
    assert!(matches!(timeout(Duration::from_secs(5), end).await.expect("it has ended"), Ok(0) | Err(_)));
    serving.stop();
}
