//! A request's body, whole, in time, within bounds.

use axum::body::{Body, HttpBody};
use countersign_protocol::refusal::Refusal;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::limits::{BODY_TIMEOUT, MAX_BODY_BYTES};

/// Reads a body to its end; it may hold secrets, so what was read is wiped on drop.
pub(crate) async fn read(body: Body) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(Refusal::BodyTooLarge);
    }
    let reading = Limited::new(body, MAX_BODY_BYTES).collect();
    let body = timeout(BODY_TIMEOUT, reading).await.map_err(|_| Refusal::LateBody)?;
    let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Refusal::BodyTooLarge,
        None => Refusal::BrokenBody,
    })?;
    Ok(Zeroizing::new(Vec::from(body.to_bytes())))
}
