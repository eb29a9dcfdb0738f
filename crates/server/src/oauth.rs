//! For OAuth clients: the token, introspection and revocation endpoints, keys and metadata.

pub(crate) mod authenticate;
pub(crate) mod form_body;
pub(crate) mod introspect;
pub(crate) mod issue;
pub(crate) mod metadata;
pub(crate) mod refusal;
pub(crate) mod revoke;
pub(crate) mod token;

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use countersign_protocol::client::ClientId;
use http::request::Parts;
use tokio::sync::OwnedSemaphorePermit;

use crate::caller::Caller;
use crate::state::State;

/// One request to an OAuth endpoint: who sent it, which tenant path it came by, and what has been found out so far.
pub(crate) struct Exchange {
    /// Who sent it.
    pub(crate) caller: Caller,
    /// The `{api}` of a tenant path.
    pub(crate) tenant: Option<String>,
    /// The client, once found.
    pub(crate) client_id: Option<ClientId>,
    /// The place among those that are worked on, once the request has arrived whole: a slow sender holds none.
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

impl FromRequestParts<Arc<State>> for Exchange {
    type Rejection = axum::response::Response;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Self::Rejection> {
        // A segment that cannot be decoded is an unknown Api, never the standard path.
        let tenant = match RawPathParams::from_request_parts(parts, state).await {
            Ok(segments) => segments.iter().next().map(|(_, api)| api.to_owned()),
            Err(_) => Some(String::new()),
        };
        let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(refusal::internal)?;
        Ok(Self { caller, tenant, client_id: None, place: None })
    }
}
