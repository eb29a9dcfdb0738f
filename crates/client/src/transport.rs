//! What carries a request to the server and its answer back.

use std::future::Future;
use std::time::Duration;

use http::{Request, Response};
use zeroize::Zeroizing;

use crate::endpoints::EndpointFault;

/// Carries one request and brings one answer: over the network, or to a server in the same process.
pub trait Transport: Send + Sync {
    /// Sends the request once, follows no redirect, and returns the whole answer.
    fn send(
        &self,
        request: Request<Zeroizing<Vec<u8>>>,
    ) -> impl Future<Output = Result<Response<Vec<u8>>, TransportError>> + Send;
}

/// A transport that several clients share.
impl<T: Transport> Transport for &T {
    fn send(
        &self,
        request: Request<Zeroizing<Vec<u8>>>,
    ) -> impl Future<Output = Result<Response<Vec<u8>>, TransportError>> + Send {
        (**self).send(request)
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TransportError {
    /// The address is not one that a secret may be sent to. Nothing was connected to.
    #[error("the URL {0}")]
    Address(EndpointFault),
    /// No connection could be made.
    #[error("failed to connect: {0}")]
    Connect(String),
    /// There was no whole answer in time.
    #[error("no response within {0:?}")]
    Timeout(Duration),
    /// The answer is a redirect. Credentials go nowhere else, so it is not followed.
    #[error("the server returned the redirect {status}, which is not followed")]
    Redirect {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is larger than this many bytes.
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
    /// The exchange broke off, or could not begin.
    #[error("the request failed: {0}")]
    Broken(String),
}
