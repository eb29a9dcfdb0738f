//! Client authentication: finds the client in the registry, and checks the credential that it presented (RFC 6749
//! §2.3).

use std::net::IpAddr;

use countersign_protocol::client::{Client, Credential};
use countersign_protocol::client_authentication::{ClientAuthentication, parse};
use countersign_protocol::form::Form;
use countersign_protocol::refusal::Refusal;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::oauth::exchange::Exchange;
use crate::registry::Registry;
use crate::state::State;
use crate::usage::uses::Used;

/// The metrics label of a request without readable credentials.
const UNREADABLE: &str = "unreadable";

/// An authenticated client.
pub(crate) struct Authenticated<'r> {
    /// The client.
    pub(crate) client: &'r Client,
    /// The credential that it used.
    pub(crate) credential: &'r Credential,
}

/// Finds the client and checks the presented credential. Wrong secrets count against this client at the caller's
/// address.
pub(crate) fn authenticate<'r>(
    state: &State,
    registry: &'r Registry,
    exchange: &mut Exchange,
    headers: &HeaderMap,
    form: &Form,
) -> Result<Authenticated<'r>, Refusal> {
    let authorizations: Vec<&[u8]> = headers.get_all(AUTHORIZATION).iter().map(|value| value.as_bytes()).collect();
    let (address, now) = (exchange.caller.address, state.now());
    let presented = parse(&authorizations, form).inspect_err(|_| state.metrics.count_client_failure(UNREADABLE))?;
    let client = registry.find_client(&presented.client_id);
    exchange.client_id = client.map(|client| client.id.clone());
    let credential = state.failed_attempts.clients.check(&presented, client, address, (&state.metrics, now))?;
    let client = client.ok_or(Refusal::UnknownClient)?;
    state.uses.record(Used { client: &client.id, credential_id: &credential.id, address }, now);
    Ok(Authenticated { client, credential })
}

/// Checks a secret outside of a token request, in the same way. A wrong one counts as a failed attempt from the
/// address.
pub fn check_secret(
    state: &State,
    registry: &Registry,
    presented: &ClientAuthentication,
    address: IpAddr,
) -> Result<(), Refusal> {
    let client = registry.find_client(&presented.client_id);
    state.failed_attempts.clients.check(presented, client, address, (&state.metrics, state.now())).map(drop)
}
