//! Accepting connections, with bounds on each, until told to stop; then letting what is under way end.

mod drain;
mod http1;
mod http2;
mod secure;
mod unread;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use self::drain::Drain;
use crate::config::Http;
use crate::front::Front;
use crate::limits::WRITE_PROGRESS_TIMEOUT;
use crate::tls::Tls;

/// After a failed accept, such as too many open files, the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` resolves, then drains for at most `http.shutdown_s`. With `tls` nothing is in clear text. Before that,
/// from [`State::set_stopping`](crate::state::State::set_stopping) on, connections are told to end and new ones are taken.
pub async fn serve(
    listener: TcpListener,
    front: Front,
    http: &Http,
    tls: Option<Arc<Tls>>,
    stop: impl Future<Output = ()>,
) {
    let connections = Arc::new(Semaphore::new(http.max_connections));
    let drain = Drain::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let (stream, peer, place) = accepted;
        // Without it small answers wait for an acknowledgement; a failure costs time only.
        let _ = stream.set_nodelay(true);
        let (front, draining, tls, stream) = (front.clone(), drain.watch(), tls.clone(), with_write_timeout(stream));
        tokio::spawn(async move {
            match tls {
                None => http1::answer(stream, peer, front, draining).await,
                // In a box: the task of a connection in clear text is not to be as large as this.
                Some(tls) => Box::pin(secure::answer(&tls, stream, peer, front, draining)).await,
            }
            drop(place);
        });
    }
    drop(listener);
    if timeout(Duration::from_secs(http.shutdown_s), drain.finish()).await.is_err() {
        tracing::warn!("requests under way were cut off at shutdown");
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<tokio::sync::OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let place = connections.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A stream that ends when its peer takes nothing for [`WRITE_PROGRESS_TIMEOUT`]: who does not read holds no place.
type Stream = Pin<Box<TimeoutStream<TcpStream>>>;

fn with_write_timeout(stream: TcpStream) -> Stream {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_PROGRESS_TIMEOUT));
    Box::pin(stream)
}
