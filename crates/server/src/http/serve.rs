//! Accepting connections, with bounds on each, until told to stop; then letting what is under way end.

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

/// After a failed accept, such as too many open files, the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// More connections than wait to be accepted by any listener (`net.core.somaxconn`).
const MAX_BACKLOG: usize = 65_536;
/// After the last connection was accepted, idle connections stay open for so long, for requests that are on their way.
const LAST_REQUESTS: Duration = Duration::from_millis(500);

/// Serves until `stop` resolves, then drains for at most `http.shutdown_s`. With `tls` nothing is in clear text. Before that,
/// from [`State::set_stopping`](crate::state::State::set_stopping) on, connections are told to end and new ones are taken.
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
        // One that is refused is closed as it is dropped, before anything is read or sent.
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
        // What crosses with the end is answered, and told that it is the last.
        let _ = timeout(LAST_REQUESTS, server.drain.ended()).await;
    }
    if timeout(Duration::from_secs(http.shutdown_s), server.drain.finish()).await.is_err() {
        tracing::warn!("aborted requests in flight at shutdown");
    }
}

/// What answers connections.
struct Server {
    connections: Arc<Connections>,
    drain: Drain,
    front: Front,
    tls: Option<Arc<Tls>>,
}

impl Server {
    /// Answers a connection in a task of its own.
    fn begin(&self, stream: TcpStream, peer: SocketAddr, held: Held) {
        // Without it small answers wait for an acknowledgement; a failure costs time only.
        let _ = stream.set_nodelay(true);
        let stream = Watched::new(with_write_timeout(stream), &held.activity);
        let (front, draining, tls) = (self.front.clone(), self.drain.watch(), self.tls.clone());
        tokio::spawn(async move {
            match tls {
                None => http1::answer(stream, peer, front, draining, &held.activity).await,
                // In a box: the task of a connection in clear text is not to be as large as this.
                Some(tls) => Box::pin(secure::answer(&tls, stream, peer, front, draining, &held.activity)).await,
            }
            drop(held);
        });
    }
}

/// The connections that wait to be accepted, as many as a listener holds at most. To its peer one stands before it is accepted:
/// closing the listener would reset it, and a request on it.
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
            // None is left, or there is no descriptor for another.
            Err(_) => break,
        }
    }
    accepted
}

/// The next connection. Failures are told once a minute: without free descriptors each try fails.
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
