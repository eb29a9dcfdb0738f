//! A keep-alive connection that parses as little of the response as possible.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::ops::Range;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A connection to a server.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response.
pub(crate) struct Answer<'c> {
    /// The status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: &'c [u8],
}

impl Connection {
    /// Opens a connection.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        Self::of(TcpStream::connect(address).await?)
    }

    /// Opens a connection from another address of this machine.
    pub(crate) async fn open_from(source: SocketAddr, address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(source)?;
        Self::of(socket.connect(address).await?)
    }

    fn of(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Returns once the server has closed the idle connection.
    pub(crate) async fn closed(&self) {
        // Unexpected bytes end it too.
        let _ = self.stream.peek(&mut [0]).await;
    }

    /// Sends a request and reads the complete response.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, body)) = find_answer(&self.buffer)? {
                return Ok(Answer { status, body: &self.buffer[body] });
            }
        }
    }
}

/// The status and the position of the body. `None` while the response is incomplete.
fn find_answer(bytes: &[u8]) -> io::Result<Option<(u16, Range<usize>)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| ErrorKind::InvalidData)?;
    let status = head.get(9..12).and_then(|digits| digits.parse().ok()).ok_or(ErrorKind::InvalidData)?;
    let length = head.lines().find_map(content_length).ok_or(ErrorKind::InvalidData)?;
    let body = end + 4..end + 4 + length;
    Ok((bytes.len() >= body.end).then_some((status, body)))
}

fn content_length(line: &str) -> Option<usize> {
    let (name, value) = line.split_once(':')?;
    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_found_once_it_is_complete() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(find_answer(whole).expect("well formed"), Some((200, 64..67)));
        for length in 0..whole.len() {
            assert_eq!(find_answer(&whole[..length]).expect("not yet malformed"), None, "{length}");
        }
        assert!(find_answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
