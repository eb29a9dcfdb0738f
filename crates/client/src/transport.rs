//! Sends a request to the server and returns its response.

use std::future::Future;
use std::time::Duration;

use http::{Request, Response};
use zeroize::Zeroizing;

use crate::endpoints::EndpointFault;

/// Sends a request and returns the response, over the network or to a server in the same process.
pub trait Transport: Send + Sync {
    /// Sends the request once, follows no redirect, and returns the whole response.
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

/// Why there is no response.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TransportError {
    /// The URL must not receive a secret. No connection was made.
    #[error("the URL {0}")]
    Address(EndpointFault),
    /// Connecting failed.
    #[error("failed to connect: {0}")]
    Connect(String),
    /// The response was incomplete when the timeout ended.
    #[error("no response within {0:?}")]
    Timeout(Duration),
    /// The response is a redirect. It is not followed, because credentials must not go elsewhere.
    #[error("the server returned the redirect {status}, which is not followed")]
    Redirect {
        /// The HTTP status.
        status: u16,
    },
    /// The response is larger than this many bytes.
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
    /// The exchange was interrupted, or could not start.
    #[error("the request failed: {0}")]
    Broken(String),
}
