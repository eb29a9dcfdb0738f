//! HTTP/2 frame by frame, for requests that no client would send (RFC 9113 §4).

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::certificates::TestAuthority;

/// Frame types.
pub mod kind {
    #![allow(missing_docs, reason = "the RFC's names")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const CONTINUATION: u8 = 9;
}

/// Frame flags.
pub mod flag {
    #![allow(missing_docs, reason = "the RFC's names")]
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
}

/// The frame size that every peer accepts (RFC 9113 §4.2).
const LARGEST_FRAME: usize = 16 * 1024;

/// A frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// A connection whose frames the test writes and reads.
#[derive(Debug)]
pub struct Frames(TlsStream<TcpStream>);

impl Frames {
    /// Performs the handshake, and sends the preface with these settings.
    pub async fn open(authority: &TestAuthority, address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut stream = authority.connect(address, &["h2"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut frames = Self(stream);
        let pair = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        frames.send(kind::SETTINGS, 0, 0, &settings.iter().flat_map(pair).collect::<Vec<_>>()).await.unwrap();
        frames
    }

    /// Sends a frame.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.write(&[&head, payload].concat()).await
    }

    /// Sends any bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// Sends a request without a body.
    pub async fn ask(&mut self, stream: u32, head: &[(&str, &str)]) -> std::io::Result<()> {
        self.send(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, &block(head)).await
    }

    /// Begins a request that has a body.
    pub async fn begin(&mut self, stream: u32, head: &[(&str, &str)]) -> std::io::Result<()> {
        self.send(kind::HEADERS, flag::END_HEADERS, stream, &block(head)).await
    }

    /// Sends the whole body of a request.
    pub async fn end(&mut self, stream: u32, body: &[u8]) -> std::io::Result<()> {
        self.send(kind::DATA, flag::END_STREAM, stream, body).await
    }

    /// The same as `ask`, with headers that may be larger than a frame.
    pub async fn ask_in_pieces(&mut self, stream: u32, head: &[(&str, &str)]) -> std::io::Result<()> {
        let block = block(head);
        let (first, rest) = block.split_at(block.len().min(LARGEST_FRAME));
        let end = |rest: &[u8]| if rest.is_empty() { flag::END_HEADERS } else { 0 };
        self.send(kind::HEADERS, flag::END_STREAM | end(rest), stream, first).await?;
        let pieces: Vec<&[u8]> = rest.chunks(LARGEST_FRAME).collect();
        for (index, piece) in pieces.iter().enumerate() {
            let flags = if index + 1 == pieces.len() { flag::END_HEADERS } else { 0 };
            self.send(kind::CONTINUATION, flags, stream, piece).await?;
        }
        Ok(())
    }

    /// Returns the next frame, or `None` at the end of the connection. Acknowledges settings and pings.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut payload).await.ok()?;
            let (kind, flags) = (head[3], head[4]);
            if matches!(kind, kind::SETTINGS | kind::PING) {
                if flags & flag::ACK == 0 {
                    let answer: &[u8] = if kind == kind::PING { &payload } else { &[] };
                    self.send(kind, flag::ACK, 0, answer).await.ok()?;
                }
                continue;
            }
            return Some(Frame {
                kind,
                flags,
                stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
                payload,
            });
        }
    }

    /// Returns the next frame of this type.
    pub async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Returns the status of a stream's response, or 0 if the stream was reset or the connection ended.
    pub async fn status(&mut self, stream: u32) -> u16 {
        while let Some(frame) = self.next().await.filter(|frame| frame.kind != kind::GOAWAY) {
            match frame.kind {
                kind::HEADERS if frame.stream == stream => return status_of(&frame.payload),
                kind::RST_STREAM if frame.stream == stream => return 0,
                _ => {}
            }
        }
        0
    }
}

/// Encodes headers as literals without indexing (RFC 7541 §6.2.2).
pub fn block(head: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in head {
        bytes.push(0);
        for text in [name, value] {
            bytes.extend(length(text.len()));
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// Encodes the length of a text without Huffman coding: an integer with a 7-bit prefix (RFC 7541 §5.1).
fn length(length: usize) -> Vec<u8> {
    let Some(mut rest) = length.checked_sub(127) else {
        return vec![u8::try_from(length).unwrap()];
    };
    let mut bytes = vec![127];
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// Decodes the status at the start of a header block: from the static table, or a literal.
fn status_of(block: &[u8]) -> u16 {
    match block {
        [0x88, ..] => 200,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x8e, ..] => 500,
        [0x08 | 0x48, 0x82, a, b, ..] => status_of_huffman([*a, *b, 0, 0]),
        [0x08 | 0x48, 0x83, a, b, c, ..] => status_of_huffman([*a, *b, *c, 0]),
        other => panic!("a status encoding that this reader does not support: {other:x?}"),
    }
}

/// Decodes three digits: 0, 1 and 2 have codes of five bits, the others of six (RFC 7541, appendix B).
fn status_of_huffman(bytes: [u8; 4]) -> u16 {
    let (mut status, mut left) = (0, u32::from_be_bytes(bytes));
    for _ in 0..3 {
        let (digit, length) = if left >> 27 < 3 { (left >> 27, 5) } else { ((left >> 26) - 0b01_1001 + 3, 6) };
        (status, left) = (status * 10 + u16::try_from(digit).unwrap(), left << length);
    }
    status
}
