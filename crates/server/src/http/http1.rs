//! HTTP/1.1 connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use http::HeaderValue;
use http::header::CONNECTION;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::activity::Activity;
use super::drain::Draining;
use super::request_body::watch;
use crate::http::front::Front;
use crate::limits::{HEADER_TIMEOUT, MAX_HEADER_BYTES};

/// Serves a connection to its end. Without a timer, hyper has no header timeout.
pub(super) async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    peer: SocketAddr,
    front: Front,
    mut draining: Draining,
    activity: &Arc<Activity>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        // The response is in memory. Once it is passed on, the stream notes whether it is read.
        let (front, under_way) = (front.clone(), activity.begin());
        async move {
            let _under_way = under_way;
            let (request, watch) = watch(request, activity);
            let mut response = watch.tell(front.answer(request, peer).await);
            if front.lifecycle().is_stopping() {
                // An idle connection stays open meanwhile. Closing it could collide with a request, which the client
                // would not repeat.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // A connection that the peer aborts is not our error.
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = draining.told() => {}
        () = activity.told_to_give_way() => {
            connection.as_mut().graceful_shutdown();
            // It may still write, but not wait for the rest of a head.
            if connection.as_mut().now_or_never().is_some() || activity.spare().is_some() {
                return;
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
