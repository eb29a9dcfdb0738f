//! A connection to the admin API: credentials, the token, and requests.

mod call;
mod identity;
mod problem;

use countersign_client::{Bounds, Client, Endpoints, HttpTransport, Secret, Transport};
use http::header::{AUTHORIZATION, ETAG};
use http::{HeaderValue, Request, Response};
use serde_json::Value;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use zeroize::Zeroizing;

pub(crate) use call::{Call, changes, check_any, members, parse_id};
pub(crate) use identity::Identity;

use crate::output::Failure;

/// The maximum size of a response. A page of 1000 clients with many entitlements has a few MiB. A larger response
/// could be an attack on our memory.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// The timeout of a request. Verifying a long audit log is a single request.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The page size: the server's maximum.
const PAGE: usize = 1000;

/// A server, and the client to authenticate as. The first call gets the token.
pub(crate) struct Remote {
    identity: Identity,
    transport: HttpTransport,
    token: Option<Secret>,
    /// Listens from the first call on, so that an interruption between two calls is not missed.
    interrupt: Option<Signal>,
}

/// A successful response.
pub(crate) struct Answer {
    /// The body, or null for 204.
    pub(crate) body: Value,
    /// The ETag, to change exactly this version.
    pub(crate) etag: Option<HeaderValue>,
}

impl Remote {
    /// Connects as `identity`. If `authorities` is set, trusts only those certificates instead of the system's.
    pub(crate) fn new(identity: Identity, authorities: Option<&[u8]>) -> Result<Self, Failure> {
        let bounds = Bounds { connect: CONNECT_TIMEOUT, whole: WHOLE_TIMEOUT, answer_bytes: MAX_ANSWER_BYTES };
        let transport = match authorities {
            Some(pem) => HttpTransport::trusting(pem, bounds),
            None => HttpTransport::with_bounds(bounds),
        };
        let transport = transport.map_err(|error| Failure::new(format!("--ca-file: {error}")))?;
        Ok(Self { identity, transport, token: None, interrupt: None })
    }

    /// The server's issuer.
    pub(crate) fn issuer(&self) -> &str {
        &self.identity.issuer
    }

    /// Sends a request, and returns a successful response. Any other response is a failure.
    pub(crate) async fn ask(&mut self, call: Call) -> Result<Answer, Failure> {
        let authorization = self.authorize().await?;
        let mut request = call.to_http(&self.identity.issuer)?;
        request.headers_mut().insert(AUTHORIZATION, authorization);
        let mut answer = self.send(request).await?;
        let etag = answer.headers_mut().remove(ETAG);
        let body = problem::read(answer, |field| call.flag(field), &self.identity.client_id)?;
        Ok(Answer { body, etag })
    }

    /// Returns all items of a paginated list, or at most `limit`.
    pub(crate) async fn list(&mut self, call: Call, most: Option<usize>) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let wanted = most.map_or(PAGE, |most| most - items.len()).min(PAGE);
            if wanted == 0 {
                return Ok(items);
            }
            let mut page = call.clone().with_query("limit", wanted);
            if let Some(after) = after {
                page = page.with_query("after", after);
            }
            let mut page = self.ask(page).await?.body;
            let Value::Array(found) = page["items"].take() else {
                return Err(Failure::new("malformed response: `items` is not a list"));
            };
            items.extend(found);
            match page["next"].take() {
                Value::String(next) => after = Some(next),
                _ => return Ok(items),
            }
        }
    }

    /// Returns all items of a list without pages.
    pub(crate) async fn list_at_once(&mut self, call: Call) -> Result<Vec<Value>, Failure> {
        match self.ask(call).await?.body["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Err(Failure::new("malformed response: `items` is not a list")),
        }
    }

    /// Returns the Authorization header. Its token has all admin API scopes of the client.
    async fn authorize(&mut self) -> Result<HeaderValue, Failure> {
        if self.token.is_none() {
            self.token = Some(self.request_token().await?);
        }
        let token = self.token.as_ref().map_or("", |token| token.expose());
        let text = Zeroizing::new(format!("Bearer {token}"));
        let mut value = HeaderValue::from_str(&text).map_err(Failure::new)?;
        value.set_sensitive(true);
        Ok(value)
    }

    async fn request_token(&mut self) -> Result<Secret, Failure> {
        let interrupt = interrupt(&mut self.interrupt)?;
        let Identity { issuer, client_id, client_secret } = &self.identity;
        let at = |path: &str| format!("{issuer}/oauth2/{path}");
        let endpoints = Endpoints::explicit(&at("token"), &at("introspect"), &at("revoke"));
        let endpoints = endpoints.map_err(|error| Failure::new(format!("{issuer}: {error}")))?;
        let client = Client::new(endpoints, client_id, client_secret.clone(), &self.transport)
            .with_resource(format!("{issuer}/admin"));
        tokio::select! {
            token = client.request_token_with_client_credentials(None) => match token {
                Ok(token) => Ok(token.access_token),
                Err(error) => Err(problem::of_token(&error, issuer, client_id)),
            },
            _ = interrupt.recv() => Err(Failure::Interrupted),
        }
    }

    async fn send(&mut self, request: Request<Zeroizing<Vec<u8>>>) -> Result<Response<Vec<u8>>, Failure> {
        let interrupt = interrupt(&mut self.interrupt)?;
        tokio::select! {
            answer = self.transport.send(request) => {
                answer.map_err(|error| problem::of_transport(&error, &self.identity.issuer))
            }
            _ = interrupt.recv() => Err(Failure::Interrupted),
        }
    }
}

fn interrupt(slot: &mut Option<Signal>) -> Result<&mut Signal, Failure> {
    let listening = match slot.take() {
        Some(listening) => listening,
        None => signal(SignalKind::interrupt()).map_err(Failure::new)?,
    };
    Ok(slot.insert(listening))
}
