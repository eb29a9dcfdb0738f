//! Whether a request's body was read to its end: a connection on which the rest still waits is of no further use.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http::HeaderValue;
use http::header::CONNECTION;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::{Request, Response};

/// The request as it is, and what tells afterwards whether its body was read.
pub(super) fn watch(request: Request<Incoming>) -> (Request<Body>, Watch) {
    let ended = Arc::new(AtomicBool::new(request.body().is_end_stream()));
    let watch = Watch(ended.clone());
    (request.map(|body| Body::new(Watched { body, ended })), watch)
}

/// Looks at a body that somebody else reads.
pub(super) struct Watch(Arc<AtomicBool>);

impl Watch {
    /// Says that the connection closes where the body was not read (RFC 9112 §9.6): a client would otherwise send its next
    /// request into it.
    pub(super) fn tell(&self, mut response: Response<Body>) -> Response<Body> {
        if !self.0.load(Ordering::Relaxed) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

struct Watched {
    body: Incoming,
    ended: Arc<AtomicBool>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.ended.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
