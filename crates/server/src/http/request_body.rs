//! The body of a request while it arrives: whether the connection waits for it, and whether it was read to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http::HeaderValue;
use http::header::CONNECTION;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::{Request, Response};

use super::activity::{Activity, Waiting};

/// Returns the request, and a flag that tells whether its body was read.
pub(super) fn watch(request: Request<Incoming>, activity: &Arc<Activity>) -> (Request<Body>, Watch) {
    let ended = Arc::new(AtomicBool::new(request.body().is_end_stream()));
    let watch = Watch(ended.clone());
    let activity = activity.clone();
    (request.map(|body| Body::new(Arriving { body, ended, activity, waiting: None })), watch)
}

/// Watches a body that someone else reads.
pub(super) struct Watch(Arc<AtomicBool>);

impl Watch {
    /// Announces that the connection will close if the body was not read (RFC 9112 §9.6). Otherwise, a client would
    /// send its next request on it.
    pub(super) fn tell(&self, mut response: Response<Body>) -> Response<Body> {
        if !self.0.load(Ordering::Relaxed) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

struct Arriving {
    body: Incoming,
    ended: Arc<AtomicBool>,
    activity: Arc<Activity>,
    /// Begins when the body does not arrive together with the head, and only ends with the body: a peer that sends a
    /// byte now and then is still slow.
    waiting: Option<Waiting>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.ended.store(true, Ordering::Relaxed);
            self.waiting = None;
        } else if polled.is_pending() && self.waiting.is_none() {
            self.waiting = Some(self.activity.wait_for_peer());
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
