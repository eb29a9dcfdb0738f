//! Connections: neither many nor idle ones keep others out.

use std::net::SocketAddr;
use std::time::Duration;

use countersign_server::config::Http;
use countersign_server::http::serve::serve;
use countersign_server::{Front, machines};
use countersign_testkit::{Options, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

const ASK: &str = "GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
/// Longer than closing takes, and shorter than the timeout of idle connections.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server with this connection limit.
async fn start_with_room_for(max_connections: usize) -> TestServer {
    let max_connections_per_address = Some(100);
    TestServer::start_with(Options { max_connections, max_connections_per_address, ..Options::default() }).await
}

/// Opens a connection from an address of this machine.
async fn connect_from(server: &TestServer, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    socket.connect(server.address).await.unwrap()
}

/// True if the server responds with 200 on this connection, false if it closes it.
async fn is_answered(stream: &mut TcpStream) -> bool {
    if stream.write_all(ASK.as_bytes()).await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok\n") {
        let read = timeout(PATIENCE, stream.read_buf(&mut answer)).await.expect("neither answered nor closed");
        if read.as_ref().map_or(0, |read| *read) == 0 {
            return false;
        }
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
    true
}

/// True once the server has closed it without sending anything.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = timeout(PATIENCE, stream.read(&mut [0; 1000])).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn connections_are_limited_per_address_except_for_trusted_proxies() {
    let trusted_proxies = vec!["127.0.0.2/32".to_owned()];
    let options = Options { max_connections_per_address: Some(3), trusted_proxies, ..Options::default() };
    let server = TestServer::start_with(options).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = connect_from(&server, "127.0.0.1").await;
        assert!(is_answered(&mut stream).await);
        held.push(stream);
    }
    for _ in 0..5 {
        assert!(is_closed(&mut connect_from(&server, "127.0.0.1").await).await, "before anything is sent");
    }
    assert!(is_answered(&mut connect_from(&server, "127.0.0.3").await).await, "another address");
    let mut proxy = Vec::new();
    for _ in 0..10 {
        proxy.push(connect_from(&server, "127.0.0.2").await);
        assert!(is_answered(proxy.last_mut().unwrap()).await, "a trusted proxy");
    }
    let refused = "countersign_connections_closed_total{reason=\"address\"} 5\n";
    assert!(server.metrics().contains(refused), "{}", server.metrics());
    drop(held.pop());
    let mut again = connect_from(&server, "127.0.0.1").await;
    for _ in 0..100 {
        if is_answered(&mut again).await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        again = connect_from(&server, "127.0.0.1").await;
    }
    assert!(is_answered(&mut again).await, "one of the address's connections has ended");
    let mut scraper = connect_from(&server, "127.0.0.2").await;
    let ask = "GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    scraper.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = String::new();
    scraper.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Begins a token request, whose body is one byte short. Returns after the server has read it.
async fn begin_slowly(stream: &mut TcpStream) {
    let head = "POST /oauth2/token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    stream.write_all(format!("{head}content-length: 12\r\n\r\ngrant_type=").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// Sends the last byte, and returns the begin of the response.
async fn end(stream: &mut TcpStream) -> String {
    stream.write_all(b"x").await.unwrap();
    let mut answer = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("neither answered nor closed").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_longest_idle_connection_is_closed_and_one_with_a_request_in_flight_is_not() {
    let server = start_with_room_for(4).await;
    let mut silent = connect_from(&server, "127.0.0.1").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut half_a_head = connect_from(&server, "127.0.0.1").await;
    half_a_head.write_all(&ASK.as_bytes()[..20]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.advance(3).await;
    let mut busy = connect_from(&server, "127.0.0.1").await;
    begin_slowly(&mut busy).await;
    let mut between_requests = connect_from(&server, "127.0.0.1").await;
    assert!(is_answered(&mut between_requests).await);
    let mut newcomers = Vec::new();
    for idle in [&mut silent, &mut half_a_head, &mut between_requests] {
        let mut newcomer = connect_from(&server, "127.0.0.1").await;
        assert!(is_answered(&mut newcomer).await, "there is room");
        assert!(is_closed(idle).await, "the longest-idle one was closed for it");
        newcomers.push(newcomer);
    }
    for newcomer in &mut newcomers {
        assert!(is_answered(newcomer).await, "no other was closed");
    }
    assert_eq!(end(&mut busy).await, "HTTP/1.1 401", "the request in flight gets a response");
    let metrics = server.metrics();
    assert!(metrics.contains("countersign_connections_closed_total{reason=\"room\"} 3\n"), "{metrics}");
}

#[tokio::test]
async fn while_no_connection_can_be_spared_a_new_one_waits() {
    let server = start_with_room_for(1).await;
    let mut busy = connect_from(&server, "127.0.0.1").await;
    begin_slowly(&mut busy).await;
    let mut newcomer = connect_from(&server, "127.0.0.2").await;
    newcomer.write_all(ASK.as_bytes()).await.unwrap();
    let waiting = timeout(Duration::from_millis(500), newcomer.read(&mut [0; 1000])).await;
    assert!(waiting.is_err(), "nothing is closed for it: {waiting:?}");
    assert_eq!(end(&mut busy).await, "HTTP/1.1 401", "the request in flight gets a response");
    let mut answer = [0; 12];
    timeout(PATIENCE, newcomer.read_exact(&mut answer)).await.expect("then there is room").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn slow_senders_and_readers_make_room_if_no_connection_is_idle_and_after_three_seconds_in_any_case() {
    let server = start_with_room_for(2).await;
    let mut sender = connect_from(&server, "127.0.0.1").await;
    begin_slowly(&mut sender).await;
    let mut reader = connect_from(&server, "127.0.0.1").await;
    let many = "GET /admin/v1/openapi.json HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".repeat(100_000);
    // The server stops to read the requests when its responses are not read.
    assert!(timeout(Duration::from_secs(1), reader.write_all(many.as_bytes())).await.is_err());
    let mut first = connect_from(&server, "127.0.0.2").await;
    first.write_all(ASK.as_bytes()).await.unwrap();
    let waiting = timeout(Duration::from_millis(500), first.read(&mut [0; 1000])).await;
    assert!(waiting.is_err(), "both have only just begun to wait: {waiting:?}");
    server.advance(1).await;
    let mut answer = [0; 12];
    timeout(PATIENCE, first.read_exact(&mut answer)).await.expect("there is room").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert!(is_closed(&mut sender).await, "it has waited for longest");
    // A little now and then makes no difference.
    reader.read_exact(&mut [0; 1000]).await.unwrap();
    server.advance(2).await;
    assert!(is_answered(&mut connect_from(&server, "127.0.0.3").await).await);
    let mut read = vec![0; 65_536];
    let read_on = async { while matches!(reader.read(&mut read).await, Ok(1..)) {} };
    timeout(PATIENCE, read_on).await.expect("it is closed, although the first newcomer is idle");
    let metrics = server.metrics();
    assert!(metrics.contains("countersign_connections_closed_total{reason=\"room\"} 2\n"), "{metrics}");
}

#[tokio::test]
async fn connections_that_never_rest_make_room_if_their_address_has_the_most() {
    let server = start_with_room_for(4).await;
    let mut upload = connect_from(&server, "127.0.0.1").await;
    begin_slowly(&mut upload).await;
    let mut restless = Vec::new();
    for _ in 0..3 {
        let mut stream = connect_from(&server, "127.0.0.2").await;
        begin_slowly(&mut stream).await;
        restless.push(stream);
    }
    for from in ["127.0.0.3", "127.0.0.4"] {
        server.advance(1).await;
        // Each ends its request and begins the next one at once, so that it neither rests nor waits for three seconds.
        for stream in &mut restless {
            let next = "xPOST /oauth2/token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 12\r\n\
                        content-type: application/x-www-form-urlencoded\r\n\r\ngrant_type=";
            let _ = stream.write_all(next.as_bytes()).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.advance(1).await;
        let mut newcomer = connect_from(&server, from).await;
        begin_slowly(&mut newcomer).await;
        assert_eq!(end(&mut newcomer).await, "HTTP/1.1 401", "{from}");
    }
    assert_eq!(end(&mut upload).await, "HTTP/1.1 401", "an address with one connection keeps it");
}

#[tokio::test]
async fn connections_not_accepted_yet_at_shutdown_are_served() {
    let server = TestServer::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(ASK.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    let front = Front::new(server.state.clone(), machines(&server.state), &[], &[]);
    let http = Http { drain_s: 1, ..Http::default() };
    let serving = tokio::spawn(async move { serve(listener, front, &http, None, std::future::ready(())).await });
    for stream in &mut streams {
        assert!(is_answered(stream).await);
        assert!(is_closed(stream).await, "it was the last one");
    }
    serving.await.unwrap();
}
