//! Accepts connections, each with limits, until shutdown, and then drains them.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::clock::Clock;
use crate::config::Http;
use crate::http::activity::Watched;
use crate::http::connections::{Connections, Held};
use crate::http::drain::Drain;
use crate::http::front::Front;
use crate::http::stream::with_write_timeout;
use crate::http::tls::Tls;
use crate::http::{http1, secure};

/// The delay after a failed accept, for example because of too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// More than the maximum accept queue of any listener (`net.core.somaxconn`).
const MAX_BACKLOG: usize = 65_536;
/// How long idle connections stay open after the last accepted connection, for requests that are on their way.
const LAST_REQUESTS: Duration = Duration::from_millis(500);

/// Serves until `stop` resolves, then drains for at most `http.shutdown_s`. With `tls`, all connections are encrypted.
/// From [`State::set_stopping`](crate::state::State::set_stopping) on, connections are asked to end, and new ones are
/// still accepted.
pub async fn serve(
    listener: TcpListener,
    front: Front,
    http: &Http,
    tls: Option<Arc<Tls>>,
    stop: impl Future<Output = ()>,
) {
    let server = Server { connections: Connections::new(http, &front), drain: Drain::new(), front, tls };
    let (clock, mut quiet_until_ms) = (server.front.state().clock.clone(), i64::MIN);
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &clock, &mut quiet_until_ms) => accepted,
        };
        // A refused connection is closed on drop, before anything is read or sent.
        let Some(mut held) = server.connections.enter(peer.ip()) else { continue };
        tokio::select! {
            () = &mut stop => {
                server.begin(stream, peer, held);
                break;
            }
            () = server.connections.wait_for_room(&mut held) => {}
        }
        server.begin(stream, peer, held);
    }
    for (stream, peer) in accept_last(listener) {
        if let Some(held) = server.connections.enter(peer.ip()) {
            server.begin(stream, peer, held);
        }
    }
    if http.drain_s > 0 {
        // A request that arrives at the end gets a response, which tells that it is the last.
        let _ = timeout(LAST_REQUESTS, server.drain.ended()).await;
    }
    if timeout(Duration::from_secs(http.shutdown_s), server.drain.finish()).await.is_err() {
        tracing::warn!("aborted requests in flight at shutdown");
    }
}

/// Serves connections.
struct Server {
    connections: Arc<Connections>,
    drain: Drain,
    front: Front,
    tls: Option<Arc<Tls>>,
}

impl Server {
    /// Serves a connection in a separate task.
    fn begin(&self, stream: TcpStream, peer: SocketAddr, held: Held) {
        // Otherwise, small responses would wait for an acknowledgement. A failure only costs time.
        let _ = stream.set_nodelay(true);
        let stream = Watched::new(with_write_timeout(stream), &held.activity);
        let (front, draining, tls) = (self.front.clone(), self.drain.watch(), self.tls.clone());
        tokio::spawn(async move {
            match tls {
                None => http1::answer(stream, peer, front, draining, &held.activity).await,
                // Boxed, so that the task of an unencrypted connection is not as large as this one.
                Some(tls) => Box::pin(secure::answer(&tls, stream, peer, front, draining, &held.activity)).await,
            }
            drop(held);
        });
    }
}

/// Returns the connections that wait to be accepted, at most as many as a listener can queue. For its peer, such a
/// connection is already open. Closing the listener would reset it, and any request on it.
fn accept_last(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let mut accepted = Vec::new();
    for _ in 0..MAX_BACKLOG {
        match listener.accept() {
            Ok((stream, peer)) => {
                let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                accepted.extend(stream.ok().map(|stream| (stream, peer)));
            }
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            // The queue is empty, or there is no file descriptor for another connection.
            Err(_) => break,
        }
    }
    accepted
}

/// Accepts the next connection. Failures are logged once a minute, because without free file descriptors, each attempt
/// fails.
async fn accept(listener: &TcpListener, clock: &Clock, quiet_until_ms: &mut i64) -> (TcpStream, SocketAddr) {
    loop {
        let error = match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => error,
        };
        let now_ms = clock.monotonic_ms();
        if *quiet_until_ms <= now_ms {
            *quiet_until_ms = now_ms + 60_000;
            tracing::warn!(%error, "failed to accept connections");
        }
        sleep(ACCEPT_PAUSE).await;
    }
}
