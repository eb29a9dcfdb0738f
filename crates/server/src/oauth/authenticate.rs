//! Authenticate: the client from the registry, and what it presented (RFC 6749 §2.3).

use std::sync::Arc;

use countersign_protocol::client::Client;
use countersign_protocol::client_authentication::{check, parse};
use countersign_protocol::form::Form;
use countersign_protocol::refusal::Refusal;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::oauth::Exchange;
use crate::registry::Registry;
use crate::state::State;

/// A client that has proved who it is.
pub(crate) struct Authenticated {
    /// Who it is.
    pub(crate) client: Arc<Client>,
    /// The id of the credential that it proved it with.
    pub(crate) credential_id: String,
}

/// Finds the client and judges what it presented; failures count against the caller's address.
pub(crate) fn authenticate(
    state: &State,
    registry: &Registry,
    exchange: &mut Exchange,
    headers: &HeaderMap,
    form: &Form,
) -> Result<Authenticated, Refusal> {
    let authorizations: Vec<&[u8]> = headers.get_all(AUTHORIZATION).iter().map(|value| value.as_bytes()).collect();
    let (address, now) = (exchange.caller.address, state.now());
    let presented = parse(&authorizations, form)?;
    state.guessing.check_client(address, now)?;
    let client = registry.find_client(&presented.client_id);
    exchange.client_id = client.map(|client| client.id.clone());
    match check(&presented, client.map(Arc::as_ref), now) {
        Ok(credential) => {
            let client = client.cloned().ok_or(Refusal::UnknownClient)?;
            Ok(Authenticated { client, credential_id: credential.id.clone() })
        }
        Err(refusal) => {
            state.guessing.count_client_failure(address, now);
            Err(refusal)
        }
    }
}
