//! Repeats a change that the database aborted in favor of another transaction (40P01, 40001).
//!
//! A change consists of checks on the newest registry, writes, the audit record, and one commit. None of these steps
//! can be repeated alone, and nothing is committed when it is aborted. The whole call is therefore repeated, and
//! secrets that it creates are created again.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::middleware::Next;
use axum::response::Response;
use countersign_store::{StoreError, Tries};
use http::Request;
use zeroize::Zeroizing;

use crate::http::trouble::Trouble;

/// The body of a call as it was read, stored in the request's extensions, because a repeated call cannot read it again.
/// It has no `Debug`, because it may contain secrets.
#[derive(Clone, Default)]
pub(crate) struct ReadBody(Arc<OnceLock<Zeroizing<Vec<u8>>>>);

impl ReadBody {
    /// Stores what was read.
    pub(crate) fn keep(&self, body: &Zeroizing<Vec<u8>>) {
        self.0.get_or_init(|| body.clone());
    }

    /// Returns what an earlier attempt has read.
    pub fn find(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.0.get().cloned()
    }
}

/// Runs a call, and repeats it while its change gives way to another transaction.
pub async fn answer(mut request: Request<Body>, next: Next) -> Response {
    request.extensions_mut().insert(ReadBody::default());
    let (head, mut body) = request.into_parts();
    let mut tries = Tries::default();
    loop {
        let response = next.clone().run(Request::from_parts(head.clone(), body)).await;
        let gave_way = response.extensions().get::<Trouble>().is_some_and(Trouble::is_conflict);
        if !gave_way || !tries.has_another().await {
            return response;
        }
        body = Body::empty();
    }
}

/// Runs a change that is not part of a call, and repeats it while it gives way.
pub(crate) async fn make<T, F: Future<Output = Result<T, StoreError>>>(
    change: impl Fn() -> F,
) -> Result<T, StoreError> {
    let mut tries = Tries::default();
    loop {
        match change().await {
            Err(StoreError::Conflict(_)) if tries.has_another().await => {}
            made => return made,
        }
    }
}
