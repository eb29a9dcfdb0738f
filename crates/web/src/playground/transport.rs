//! Sends the client's requests to this server's own router, in process, with the browser's address as the peer.
//!
//! The bytes and checks are the same as over the network, but there is no socket. The rules therefore need no exception
//! for internal addresses, and failed attempts count against the actual caller.

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use countersign_client::{Transport, TransportError};
use countersign_server::http::caller::{Caller, REQUEST_ID};
use countersign_server::http::front::lower_tenant_path;
use countersign_server::http::request_id::add_to_body;
use countersign_server::limits::MAX_ANSWER_BYTES;
use http::Request;
use http_body_util::{BodyExt, Limited};
use tower::ServiceExt;
use zeroize::Zeroizing;

/// The router of the OAuth endpoints and the demonstration resources.
#[derive(Clone, Debug)]
pub(crate) struct Inner(pub(crate) Router);

/// This server, called on behalf of one browser.
#[derive(Clone, Debug)]
pub(crate) struct OwnServer {
    inner: Inner,
    caller: Caller,
}

impl OwnServer {
    /// Creates a transport on behalf of `caller`.
    pub(crate) fn new(inner: &Inner, caller: &Caller) -> Self {
        Self { inner: inner.clone(), caller: caller.clone() }
    }

    /// Sends a request through the router.
    pub(crate) async fn call(&self, mut request: Request<Body>) -> Response {
        lower_tenant_path(&mut request);
        request.headers_mut().insert(REQUEST_ID, self.caller.request_id.clone());
        request.extensions_mut().insert(self.caller.clone());
        match self.inner.0.clone().oneshot(request).await {
            Ok(response) => add_to_body(response, &self.caller.request_id),
            Err(never) => match never {},
        }
    }
}

impl Transport for OwnServer {
    async fn send(&self, request: Request<Zeroizing<Vec<u8>>>) -> Result<http::Response<Vec<u8>>, TransportError> {
        let response = self.call(request.map(|body| Body::from(body.to_vec()))).await;
        read(response).await
    }
}

/// Reads the whole response, up to a limit.
pub(crate) async fn read(response: Response) -> Result<http::Response<Vec<u8>>, TransportError> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
    let body = body.map_err(|_| TransportError::TooLarge(MAX_ANSWER_BYTES))?;
    Ok(http::Response::from_parts(head, Vec::from(body.to_bytes())))
}
