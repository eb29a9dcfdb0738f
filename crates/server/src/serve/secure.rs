//! A connection that begins with a TLS handshake, in which the client chooses HTTP/2 or HTTP/1.1.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::drain::Draining;
use super::{Stream, http1, http2};
use crate::front::Front;
use crate::limits::{HANDSHAKE_TIMEOUT, LINGER_TIMEOUT, MAX_LINGER_BYTES};
use crate::tls::{HTTP2, Tls};

/// Shakes hands by the certificate of this moment, then answers to the connection's end.
pub(super) async fn answer(tls: &Tls, stream: Stream, peer: SocketAddr, front: Front, mut draining: Draining) {
    let handshake = TlsAcceptor::from(tls.current()).accept(stream).into_fallible();
    let shaken = tokio::select! {
        shaken = timeout(HANDSHAKE_TIMEOUT, handshake) => shaken,
        // Nothing was asked yet, so nothing is lost.
        () = draining.told() => return,
    };
    match shaken {
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(HTTP2) => {
            http2::answer(stream, peer, front, draining).await;
        }
        Ok(Ok(stream)) => http1::answer(stream, peer, front, draining).await,
        Ok(Err((error, stream))) => {
            tracing::debug!(%peer, %error, "a TLS handshake failed");
            end(stream).await;
        }
        Err(_) => tracing::debug!(%peer, "a TLS handshake was not done in time"),
    }
}

/// Ends a connection that is no TLS. Closed with bytes unread it would be reset, and the alert that we sent lost.
async fn end(mut stream: Stream) {
    let reading = async {
        stream.shutdown().await?;
        copy(&mut stream.take(MAX_LINGER_BYTES), &mut sink()).await
    };
    let _ = timeout(LINGER_TIMEOUT, reading).await;
}
