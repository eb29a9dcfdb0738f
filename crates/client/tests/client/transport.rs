//! How the transport handles a hostile or broken server.

use std::io::Write;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use countersign_client::{Bounds, EndpointFault, HttpTransport, Transport, TransportError};
use http::{Request, Response};
use zeroize::Zeroizing;

use crate::server::Server;

const SHORT: Bounds =
    Bounds { connect: Duration::from_millis(500), whole: Duration::from_millis(500), answer_bytes: 1024 };

async fn post(url: &str) -> Result<Response<Vec<u8>>, TransportError> {
    let request = Request::post(url).body(Zeroizing::new(b"a=1".to_vec())).expect("a request");
    HttpTransport::with_bounds(SHORT)?.send(request).await
}

#[tokio::test]
async fn a_response_is_complete_with_status_and_headers() {
    let server = Server::answering("418 Teapot", "x-tea: yes\r\n", "short and stout");
    let answer = post(&server.url("/pot?x=1")).await.expect("a response");
    assert_eq!((answer.status().as_u16(), answer.headers()["x-tea"].as_bytes()), (418, b"yes".as_slice()));
    assert_eq!(answer.body(), b"short and stout");
    let heard = server.next().expect("a request");
    assert!(heard.starts_with("POST /pot?x=1 HTTP/1.1\r\n") && heard.ends_with("\r\n\r\na=1"), "{heard}");
    assert!(heard.contains(concat!("user-agent: countersign/", env!("CARGO_PKG_VERSION"))), "{heard}");
}

#[tokio::test]
async fn a_redirect_is_an_error_and_is_not_followed() {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let elsewhere = Server::answering("200 OK", "", "{}");
        let (location, line) = (elsewhere.url("/"), status.to_owned());
        let server = Server::start(move |stream| {
            let head = format!("HTTP/1.1 {line}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).expect("written");
        });
        let expected = TransportError::Redirect { status: status[..3].parse().expect("a status") };
        assert_eq!(post(&server.url("/")).await.map(drop), Err(expected));
        assert_eq!(elsewhere.next(), None);
    }
}

#[tokio::test]
async fn a_body_is_limited_whatever_its_announced_length() {
    let endless = Server::start(|stream| {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut written = stream.write_all(head.as_bytes());
        while written.is_ok() {
            written = stream.write_all(b"40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n");
        }
    });
    assert_eq!(post(&endless.url("/")).await.map(drop), Err(TransportError::TooLarge(1024)));
    let until_closed = Server::start(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        while stream.write_all(&[b'x'; 64]).is_ok() {}
    });
    assert_eq!(post(&until_closed.url("/")).await.map(drop), Err(TransportError::TooLarge(1024)));
    for (length, fits) in [(1024, true), (1025, false)] {
        let exact = Server::start(move |stream| {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            let _ = stream.write_all(&[head.as_bytes(), &vec![b'x'; length]].concat());
        });
        assert_eq!(post(&exact.url("/")).await.is_ok(), fits, "{length}");
    }
}

#[tokio::test]
async fn a_late_response_and_a_slow_body_time_out() {
    let silent = Server::start(|_| thread::sleep(Duration::from_secs(5)));
    assert_eq!(post(&silent.url("/")).await.map(drop), Err(TransportError::Timeout(SHORT.whole)));
    let dripping = Server::start(|stream| {
        let mut written = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
        while written.is_ok() {
            thread::sleep(Duration::from_millis(50));
            written = stream.write_all(b"x");
        }
    });
    assert_eq!(post(&dripping.url("/")).await.map(drop), Err(TransportError::Timeout(SHORT.whole)));
}

#[tokio::test]
async fn a_failed_connection_and_an_incomplete_response_are_distinguished() {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let error = post(&format!("http://{closed}/")).await.expect_err("nobody listens");
    assert!(matches!(error, TransportError::Connect(_)), "{error}");
    for bytes in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", "220 smtp.example ESMTP\r\n"] {
        let server = Server::start(move |stream| stream.write_all(bytes.as_bytes()).expect("written"));
        let error = post(&server.url("/")).await.expect_err("half an answer");
        assert!(matches!(error, TransportError::Broken(_)), "{bytes}: {error}");
    }
}

#[tokio::test]
async fn a_secret_only_leaves_this_machine_over_https_and_this_is_checked_before_connecting() {
    for url in ["http://auth.example/", "http://192.0.2.1/", "http://localhost.example/", "ftp://127.0.0.1/"] {
        assert_eq!(post(url).await.map(drop), Err(TransportError::Address(EndpointFault::NotHttps)), "{url}");
    }
    // The operating system connects this address to this machine, but it is not a loopback literal.
    let server = Server::answering("200 OK", "", "{}");
    let url = format!("http://0.0.0.0:{}/", server.address.port());
    assert_eq!(post(&url).await.map(drop), Err(TransportError::Address(EndpointFault::NotHttps)));
    assert_eq!(server.next(), None);
    assert!(post(&format!("http://localhost:{}/", server.address.port())).await.is_ok());
}

#[tokio::test]
async fn https_to_a_plain_server_fails_to_connect_without_sending_the_secret() {
    let server = Server::answering("200 OK", "", "{}");
    let url = format!("https://127.0.0.1:{}/", server.address.port());
    let error = post(&url).await.expect_err("no TLS there");
    assert!(!matches!(error, TransportError::Address(_)), "{error}");
    assert!(!server.next().unwrap_or_default().contains("a=1"));
}
