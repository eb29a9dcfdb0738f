//! Accepting connections, with bounds on each, until told to stop; then letting what is under way end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use crate::config::Http;
use crate::front::Front;
use crate::limits::{HEADER_TIMEOUT, MAX_HEADER_BYTES, WRITE_PROGRESS_TIMEOUT};

/// After a failed accept, such as too many open files, the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` resolves, then drains for at most `http.shutdown_s`.
pub async fn serve(listener: TcpListener, front: Front, http: &Http, stop: impl Future<Output = ()>) {
    let connections = Arc::new(Semaphore::new(http.max_connections));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let (stream, peer, place) = accepted;
        let (front, watcher) = (front.clone(), graceful.watcher());
        tokio::spawn(async move {
            answer_connection(stream, peer, front, watcher).await;
            drop(place);
        });
    }
    drop(listener);
    let drain = timeout(Duration::from_secs(http.shutdown_s), graceful.shutdown()).await;
    if drain.is_err() {
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
fn with_write_timeout(stream: TcpStream) -> Pin<Box<TimeoutStream<TcpStream>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_PROGRESS_TIMEOUT));
    Box::pin(stream)
}

/// Answers one connection to its end. Without a timer hyper has no header time-out.
async fn answer_connection(stream: TcpStream, peer: SocketAddr, front: Front, watcher: Watcher) {
    // Without it small answers wait for an acknowledgement; a failure costs time only.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let front = front.clone();
        async move { Ok::<_, Infallible>(front.answer(request.map(Body::new), peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(with_write_timeout(stream)), service);
    // A connection that breaks off is its peer's affair.
    let _ = watcher.watch(connection).await;
}
