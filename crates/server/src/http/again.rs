//! A change that the database ended in favour of another transaction (40P01, 40001) is made again from its beginning.
//!
//! A change is the story of its handler: checks on the newest registry, then writes, then the audit record, then one commit. None
//! of its steps can be repeated alone, and nothing was committed when it is refused so. So the whole call is answered again, and
//! secrets that it makes are made anew.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::middleware::Next;
use axum::response::Response;
use countersign_store::{StoreError, Tries};
use http::Request;
use zeroize::Zeroizing;

use crate::http::trouble::Trouble;

/// The body of a call as it was read, among the request's extensions: a call that is answered again has no other. It may hold
/// secrets, so it has no `Debug`.
#[derive(Clone, Default)]
pub(crate) struct ReadBody(Arc<OnceLock<Zeroizing<Vec<u8>>>>);

impl ReadBody {
    /// Keeps what was read.
    pub(crate) fn keep(&self, body: &Zeroizing<Vec<u8>>) {
        self.0.get_or_init(|| body.clone());
    }

    /// What an earlier try has read.
    pub fn find(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.0.get().cloned()
    }
}

/// Answers a call, again while its change gives way to another transaction.
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

/// Makes a change that is no call, again while it gives way.
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
