//! Which servers the transport trusts.

use std::env::current_exe;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{fs, thread};

use countersign_client::{Bounds, HttpTransport, Transport, TransportError};
use http::Request;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use zeroize::Zeroizing;

/// The variable with the URL for the child process. Without it, the child does nothing.
const URL: &str = "COUNTERSIGN_TEST_URL";

/// A TLS server with this certificate. Returns its port, and the first bytes of each request that it could read.
fn start(certified: &CertifiedKey<KeyPair>) -> (u16, Receiver<Vec<u8>>) {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key));
    let config = Arc::new(config.expect("a certificate and its key"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (sender, heard) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = answer(config.clone(), stream.expect("a connection"), &sender);
        }
    });
    (port, heard)
}

/// Reports the request before the response, so that a caller with the response can check at once.
fn answer(config: Arc<ServerConfig>, stream: TcpStream, heard: &Sender<Vec<u8>>) -> Option<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
    let mut request = vec![0; 1024];
    let length = stream.read(&mut request).ok().filter(|length| *length > 0)?;
    request.truncate(length);
    heard.send(request).ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").ok()
}

async fn post(url: &str) -> Result<(), TransportError> {
    let request = Request::post(url).body(Zeroizing::new(b"a=1".to_vec())).expect("a request");
    HttpTransport::new()?.send(request).await.map(drop)
}

fn certify(name: &str) -> CertifiedKey<KeyPair> {
    generate_simple_self_signed([name.to_owned()]).expect("a certificate")
}

#[tokio::test]
async fn an_untrusted_server_gets_nothing() {
    let (port, heard) = start(&certify("127.0.0.1"));
    let error = post(&format!("https://127.0.0.1:{port}/")).await.expect_err("an unknown certificate");
    assert!(matches!(error, TransportError::Connect(_) | TransportError::Broken(_)), "{error}");
    assert!(heard.try_recv().is_err());
}

#[tokio::test]
async fn only_the_given_authorities_are_trusted() {
    let certified = certify("127.0.0.1");
    let (port, heard) = start(&certified);
    let url = format!("https://127.0.0.1:{port}/");
    let (own, other) = (certified.cert.pem(), certify("127.0.0.1").cert.pem());
    for (pem, is_believed) in [(own.clone(), true), (other.clone(), false), (other + &own, true)] {
        let transport = HttpTransport::trusting(pem.as_bytes(), Bounds::default()).expect("authorities");
        let request = Request::post(&url).body(Zeroizing::new(b"a=1".to_vec())).expect("a request");
        assert_eq!(transport.send(request).await.is_ok(), is_believed);
        assert_eq!(heard.try_recv().is_ok(), is_believed);
    }
    for bad in ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(HttpTransport::trusting(bad.as_bytes(), Bounds::default()).is_err(), "{bad}");
    }
}

#[test]
fn a_server_that_the_system_trusts_is_only_trusted_under_its_own_name() {
    for (name, is_believed) in [("127.0.0.1", true), ("other.example", false)] {
        let certified = certify(name);
        let (port, heard) = start(&certified);
        let roots = tempfile::NamedTempFile::new().expect("a file");
        fs::write(roots.path(), certified.cert.pem()).expect("written");
        let mut child = Command::new(current_exe().expect("this binary"));
        child
            .args(["--ignored", "--exact", "tls::the_child_asks"])
            .env("SSL_CERT_FILE", roots.path())
            .env_remove("SSL_CERT_DIR");
        let output = child.env(URL, format!("https://127.0.0.1:{port}/")).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.success(), is_believed, "{name}: {said}");
        assert!(is_believed || said.contains("not valid for name"), "{said}");
        assert_eq!(heard.try_recv().is_ok_and(|request| request.starts_with(b"POST / HTTP/1.1")), is_believed);
    }
}

#[tokio::test]
#[ignore = "runs as a child process of the test above"]
async fn the_child_asks() {
    #[expect(clippy::disallowed_methods, reason = "the parent says what to ask: roots of trust are a process's own")]
    let url = std::env::var(URL).expect("the parent's address");
    if let Err(error) = post(&url).await {
        panic!("{error}");
    }
}
