//! Reads the body of a request completely, with a timeout and a size limit.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use axum::body::{Body, HttpBody};
use countersign_protocol::refusal::Refusal;
use futures_util::FutureExt;
use http::Extensions;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::http::admission::Place;
use crate::http::again::ReadBody;
use crate::limits::{BODY_TIMEOUT, MAX_BODY_BYTES};

/// Reads a body to its end, then waits for the request's turn. It may contain secrets, so it is wiped on drop.
///
/// The request's place is in its extensions. An internal request has none, because it is part of another request's
/// work. If an earlier attempt of the call has already read the body, it is not read again.
pub async fn read(body: Body, extensions: &Extensions) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let kept = extensions.get::<ReadBody>();
    if let Some(read) = kept.and_then(ReadBody::find) {
        return Ok(read);
    }
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(Refusal::BodyTooLarge);
    }
    let place = extensions.get::<Arc<Place>>();
    let mut reading = pin!(Limited::new(body, MAX_BODY_BYTES).collect());
    // Most bodies arrive together with the head.
    let read = match poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await {
        Poll::Ready(read) => read,
        Poll::Pending => {
            if let Some(place) = place {
                place.leave();
            }
            let read = timeout(BODY_TIMEOUT, reading).await.map_err(|_| Refusal::LateBody)?;
            if let Some(place) = place {
                place.enter_again()?;
            }
            read
        }
    };
    let body = read.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Refusal::BodyTooLarge,
        None => Refusal::BrokenBody,
    })?;
    if let Some(place) = place {
        place.wait_for_turn().await?;
    }
    let body = Zeroizing::new(Vec::from(body.to_bytes()));
    if let Some(kept) = kept {
        kept.keep(&body);
    }
    Ok(body)
}

/// Reads the part of an unneeded body that has already arrived, so that its connection can be reused.
///
/// This does not wait. Do not call it for a client that expects `100 Continue`: polling the body would request it.
pub(crate) fn discard_arrived(body: &mut Body) {
    if !body.is_end_stream() && body.size_hint().upper().is_some_and(|most| most <= MAX_BODY_BYTES as u64) {
        let _ = Limited::new(body, MAX_BODY_BYTES).collect().now_or_never();
    }
}
