//! A request to an OAuth endpoint.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::response::Response;
use countersign_protocol::form::Form;
use countersign_protocol::ids::ClientId;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::http::caller::Caller;
use crate::oauth::refusal;
use crate::state::State;

/// A request to an OAuth endpoint: the caller, the tenant path, and what is known so far.
pub(crate) struct Exchange {
    /// The caller.
    pub(crate) caller: Caller,
    /// The `{api}` of a tenant path.
    pub(crate) tenant: Option<String>,
    /// The scheme of the `Authorization` header, if there is one: `Basic` or `other`.
    pub(crate) scheme: Option<&'static str>,
    /// The parameters, once read.
    pub(crate) form: Option<Arc<Form>>,
    /// The client, once found.
    pub(crate) client_id: Option<ClientId>,
    /// The server.
    pub(crate) state: Arc<State>,
}

impl FromRequestParts<Arc<State>> for Exchange {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Self::Rejection> {
        // A segment that cannot be decoded is an unknown API, never the standard path.
        let tenant = match RawPathParams::from_request_parts(parts, state).await {
            Ok(segments) => segments.iter().next().map(|(_, api)| api.to_owned()),
            Err(_) => Some(String::new()),
        };
        let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(refusal::internal)?;
        let basic =
            |value: &HeaderValue| value.as_bytes().get(..6).is_some_and(|head| head.eq_ignore_ascii_case(b"basic "));
        let scheme = parts.headers.get(AUTHORIZATION).map(|value| if basic(value) { "Basic" } else { "other" });
        let state = state.clone();
        Ok(Self { caller, tenant, scheme, form: None, client_id: None, state })
    }
}
