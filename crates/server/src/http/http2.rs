//! HTTP/2 connections: many requests at once, with all limits explicit.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use futures_util::FutureExt;
use hyper::Request;
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::activity::{Activity, UnderWay, Waiting};
use super::drain::Draining;
use super::request_body::watch;
use crate::http::front::Front;
use crate::limits::{
    HTTP2_LAST_LOOKS, HTTP2_LOOK_INTERVAL, HTTP2_MAX_FAULTS, HTTP2_MAX_FRAME_BYTES, HTTP2_MAX_PENDING_RESETS,
    HTTP2_MAX_STREAMS, HTTP2_PING_INTERVAL, HTTP2_PING_TIMEOUT, HTTP2_QUIET_LOOKS, HTTP2_SEND_BUFFER_BYTES,
    HTTP2_WINDOW_BYTES, MAX_HEADER_BYTES,
};

/// Serves a connection to its end.
///
/// It ends with a GOAWAY, at shutdown or after inactivity. Requests in flight get a response, and a client knows that a
/// request sent after the GOAWAY was not processed. If nothing moves after that, the connection is closed. A connection
/// that is opened during shutdown gets one request first. Otherwise, its client would open another.
pub(super) async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    peer: SocketAddr,
    front: Front,
    mut draining: Draining,
    held: &Arc<Activity>,
) {
    let moves = Arc::new(Moves::default());
    let service = service_fn(|request: Request<Incoming>| {
        let (front, work) = (front.clone(), Work::begin(&moves, held));
        let (request, _) = watch(request, held);
        async move { Ok::<_, Infallible>(work.hand_over(front.answer(request, peer).await)) }
    });
    let mut connection = pin!(bounded().serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = draining.told() => {}
        () = async { front.lifecycle().stopping().await; moves.asked.notified().await } => {}
        () = held.told_to_give_way() => {
            connection.as_mut().graceful_shutdown();
            // It may still write the GOAWAY, but not wait until the peer reacts to it.
            if connection.as_mut().now_or_never().is_some() || held.spare().is_some() {
                return;
            }
        }
        () = moves.quiet(HTTP2_QUIET_LOOKS) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        _ = connection => {}
        () = moves.quiet(HTTP2_LAST_LOOKS) => {}
    }
}

/// Sets every limit of hyper. CONTINUATION frames are limited by the size of the head, which they add to.
fn bounded() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
        .max_frame_size(HTTP2_MAX_FRAME_BYTES)
        .adaptive_window(false)
        .initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_WINDOW_BYTES)
        .max_send_buf_size(HTTP2_SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(HTTP2_MAX_PENDING_RESETS)
        .max_local_error_reset_streams(HTTP2_MAX_FAULTS)
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT);
    builder
}

/// The progress of a connection. hyper has no timeout for an HTTP/2 head, or for a response that the peer does not
/// read.
///
/// Pings do not count. Otherwise, a peer could occupy a place and perhaps a hundred responses by only sending pings.
#[derive(Default)]
struct Moves {
    /// The number of requests in progress.
    working: AtomicUsize,
    /// Incremented whenever a request arrives or ends, or the peer reads a part of a response.
    moves: AtomicUsize,
    /// Has a permit once there was a request.
    asked: Notify,
}

impl Moves {
    fn note(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns once there was no request in progress and no progress for this many checks in a row.
    async fn quiet(&self, wanted: u32) {
        let (mut before, mut looks) = (self.moves.load(Ordering::Relaxed), 0);
        while looks < wanted {
            sleep(HTTP2_LOOK_INTERVAL).await;
            let now = self.moves.load(Ordering::Relaxed);
            let is_quiet = now == before && self.working.load(Ordering::Relaxed) == 0;
            looks = if is_quiet { looks + 1 } else { 0 };
            before = now;
        }
    }
}

/// A request in progress, until this is dropped.
struct Work {
    moves: Arc<Moves>,
    held: Arc<Activity>,
    under_way: Option<UnderWay>,
}

impl Work {
    fn begin(moves: &Arc<Moves>, held: &Arc<Activity>) -> Self {
        moves.note();
        moves.asked.notify_one();
        moves.working.fetch_add(1, Ordering::Relaxed);
        Self { moves: moves.clone(), held: held.clone(), under_way: Some(held.begin()) }
    }

    /// Wraps the response, to observe how it is read.
    fn hand_over(mut self, response: Response) -> Response<InPieces> {
        let (moves, under_way) = (self.moves.clone(), self.under_way.take());
        let waiting = self.held.wait_for_peer();
        response.map(|body| InPieces { body, rest: Bytes::new(), moves, _waiting: waiting, _under_way: under_way })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.moves.working.fetch_sub(1, Ordering::Relaxed);
        self.moves.note();
    }
}

/// A body in pieces of [`HTTP2_SEND_BUFFER_BYTES`], each passed on when the peer has room. Otherwise, h2 would buffer a
/// whole response for a peer that does not read, and slow progress would be invisible.
struct InPieces {
    body: Body,
    /// The rest of a piece that was too large.
    rest: Bytes,
    moves: Arc<Moves>,
    /// Sending a response is waiting for the peer to read it. Dropped before the next field.
    _waiting: Waiting,
    /// Keeps the request in progress until its response is sent.
    _under_way: Option<UnderWay>,
}

impl hyper::body::Body for InPieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                other => return other,
            };
            match frame.into_data() {
                Ok(piece) => self.rest = piece,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        self.moves.note();
        let length = self.rest.len().min(HTTP2_SEND_BUFFER_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
