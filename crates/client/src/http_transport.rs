//! A transport over the network, using reqwest.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use reqwest::redirect::Policy;
use reqwest::{Certificate, ClientBuilder};
use zeroize::Zeroizing;

use crate::endpoints::{Reach, check_url};
use crate::transport::{Transport, TransportError};

/// The default timeout for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The default timeout for the whole exchange. It is enough for a password hash and a slow network.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The default maximum size of a response. A token set has a few KiB, and a megabyte could be an attack on our memory.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

const USER_AGENT: &str = concat!("countersign/", env!("CARGO_PKG_VERSION"));

/// Timeouts and size limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The timeout for connecting.
    pub connect: Duration,
    /// The timeout for the whole response.
    pub whole: Duration,
    /// The maximum size of a body.
    pub answer_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connect: CONNECT_TIMEOUT, whole: WHOLE_TIMEOUT, answer_bytes: MAX_ANSWER_BYTES }
    }
}

/// Sends over HTTP/1.1: https anywhere, http only to this machine. Follows no redirects.
#[derive(Debug)]
pub struct HttpTransport {
    bounds: Bounds,
    /// For http to this machine: never uses a proxy, and `localhost` is always loopback, whatever a resolver says.
    plain: reqwest::Client,
    /// For https: uses the system's proxy, if there is one. Created on first use, because only https needs the system's
    /// certificate authorities.
    secure: OnceLock<Result<reqwest::Client, TransportError>>,
}

impl HttpTransport {
    /// Creates a transport with the default limits: 5 s to connect, 10 s in total, 1 MiB.
    pub fn new() -> Result<Self, TransportError> {
        Self::with_bounds(Bounds::default())
    }

    /// Creates a transport with these limits.
    pub fn with_bounds(bounds: Bounds) -> Result<Self, TransportError> {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let plain = builder(bounds)
            .no_proxy()
            .tls_certs_only([])
            .resolve_to_addrs("localhost", &loopback.map(|address| SocketAddr::new(address, 0)));
        Ok(Self { bounds, plain: build(plain)?, secure: OnceLock::new() })
    }

    /// Creates a transport that only trusts the certificate authorities in this PEM text.
    pub fn trusting(authorities: &[u8], bounds: Bounds) -> Result<Self, TransportError> {
        let broken = |error: reqwest::Error| TransportError::Broken(root_cause(&error));
        let authorities = Certificate::from_pem_bundle(authorities).map_err(broken)?;
        if authorities.is_empty() {
            return Err(TransportError::Broken("the PEM file contains no certificate".to_owned()));
        }
        let secure = build(builder(bounds).https_only(true).tls_certs_only(authorities))?;
        Ok(Self { secure: OnceLock::from(Ok(secure)), ..Self::with_bounds(bounds)? })
    }

    fn secure(&self) -> Result<&reqwest::Client, TransportError> {
        let made = self.secure.get_or_init(|| build(builder(self.bounds).https_only(true)));
        made.as_ref().map_err(Clone::clone)
    }

    /// Reads the body as it arrives, and stops at the limit, whatever length was announced.
    async fn read(&self, mut answer: reqwest::Response) -> Result<Response<Vec<u8>>, TransportError> {
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.describe(&error))? {
            if chunk.len() > self.bounds.answer_bytes - body.len() {
                return Err(TransportError::TooLarge(self.bounds.answer_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(std::mem::take(&mut *body));
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }

    fn describe(&self, error: &reqwest::Error) -> TransportError {
        if error.is_timeout() {
            TransportError::Timeout(if error.is_connect() { self.bounds.connect } else { self.bounds.whole })
        } else if error.is_connect() {
            TransportError::Connect(root_cause(error))
        } else {
            TransportError::Broken(root_cause(error))
        }
    }
}

impl Transport for HttpTransport {
    async fn send(&self, request: Request<Zeroizing<Vec<u8>>>) -> Result<Response<Vec<u8>>, TransportError> {
        let request = reqwest::Request::try_from(request.map(Bytes::from_owner)).map_err(|e| self.describe(&e))?;
        check_url(request.url(), Reach::Network).map_err(TransportError::Address)?;
        let client = if request.url().scheme() == "https" { self.secure()? } else { &self.plain };
        let answer = client.execute(request).await.map_err(|error| self.describe(&error))?;
        if answer.status().is_redirection() {
            return Err(TransportError::Redirect { status: answer.status().as_u16() });
        }
        self.read(answer).await
    }
}

fn builder(bounds: Bounds) -> ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(bounds.connect)
        .timeout(bounds.whole)
        .redirect(Policy::none())
        .referer(false)
        .user_agent(USER_AGENT)
}

fn build(builder: ClientBuilder) -> Result<reqwest::Client, TransportError> {
    builder.build().map_err(|error| TransportError::Broken(root_cause(&error)))
}

/// Returns the last error of the chain, which is the cause, without the URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
