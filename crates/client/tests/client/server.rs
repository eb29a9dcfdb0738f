//! A minimal server with fixed responses, which keeps the requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// A server on loopback. It ends with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    heard: Receiver<Vec<u8>>,
}

impl Server {
    /// Reads each complete request, keeps it, and lets `answer` write to the connection.
    pub(crate) fn start(answer: impl Fn(&mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (sender, heard) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let request = read_request(&mut stream);
                if sender.send(request).is_err() {
                    return;
                }
                answer(&mut stream);
            }
        });
        Self { address, heard }
    }

    /// Responds to every request with this status, headers and body.
    pub(crate) fn answering(status: &'static str, headers: &'static str, body: &'static str) -> Self {
        Self::start(move |stream| {
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
            // The client may close early.
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        })
    }

    /// A URL on this server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next received request: line, headers, body.
    pub(crate) fn next(&self) -> Option<String> {
        self.heard.try_recv().ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    let _ = stream.read_exact(&mut body);
    request.extend(body);
    request
}
