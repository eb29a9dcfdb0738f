//! TLS connections. The client chooses HTTP/2 or HTTP/1.1 in the handshake.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::activity::Activity;
use super::drain::Draining;
use super::{http1, http2};
use crate::http::front::Front;
use crate::http::stream::Stream;
use crate::http::tls::Tls;
use crate::http::tls_files::HTTP2;
use crate::limits::{HANDSHAKE_TIMEOUT, LINGER_TIMEOUT, MAX_LINGER_BYTES};

/// The response to an http:// request.
const IN_CLEAR: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n\
    connection: close\r\n\r\nthis port expects TLS; use https://\n";

/// Makes the handshake with the current certificate, then serves the connection to its end.
pub(super) async fn answer(
    tls: &Tls,
    stream: Stream,
    peer: SocketAddr,
    front: Front,
    mut draining: Draining,
    activity: &Arc<Activity>,
) {
    let shaken = tokio::select! {
        shaken = timeout(HANDSHAKE_TIMEOUT, shake_hands(tls, stream)) => shaken,
        // There was no request yet, so nothing is lost.
        () = draining.told() => return,
        () = activity.told_to_give_way() => return,
    };
    match shaken {
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(HTTP2) => {
            http2::answer(stream, peer, front, draining, activity).await;
        }
        Ok(Ok(stream)) => http1::answer(stream, peer, front, draining, activity).await,
        Ok(Err((error, stream))) => {
            tracing::debug!(%peer, %error, "TLS handshake failed");
            end(stream).await;
        }
        Err(_) => tracing::debug!(%peer, "TLS handshake timed out"),
    }
}

/// Returns the encrypted stream, or the error and the stream.
async fn shake_hands(tls: &Tls, mut stream: Stream) -> Result<TlsStream<Stream>, (io::Error, Stream)> {
    let mut first = [0];
    // Peeked only: a TLS record begins with 0x16, an unencrypted request with the letters of its method.
    if matches!(stream.get_ref().get_ref().peek(&mut first).await, Ok(1)) && first[0].is_ascii_uppercase() {
        let sent = stream.write_all(IN_CLEAR).await;
        return Err((sent.err().unwrap_or_else(|| io::Error::other("an unencrypted request")), stream));
    }
    TlsAcceptor::from(tls.current()).accept(stream).into_fallible().await
}

/// Ends a connection without TLS. Closing it with unread bytes would reset it and lose the alert that we sent.
async fn end(mut stream: Stream) {
    let reading = async {
        stream.shutdown().await?;
        copy(&mut stream.take(MAX_LINGER_BYTES), &mut sink()).await
    };
    let _ = timeout(LINGER_TIMEOUT, reading).await;
}
