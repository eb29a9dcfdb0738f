//! The inputs of a token request's decision.

use std::sync::Arc;

use countersign_protocol::api::Api;
use countersign_protocol::client::Client;
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::refusal::Refusal;
use countersign_protocol::token_request::TokenRequest;

use crate::http::caller::Caller;
use crate::registry::Registry;

/// Everything that a grant decides on.
pub(crate) struct Asked<'a> {
    /// The registry.
    pub(crate) registry: &'a Registry,
    /// The caller.
    pub(crate) caller: &'a Caller,
    /// The authenticated client.
    pub(crate) client: &'a Client,
    /// The API that the request names.
    pub(crate) named: Option<Arc<Api>>,
    /// The request.
    pub(crate) request: &'a TokenRequest,
}

impl Asked<'_> {
    /// Returns the API that the request names, or the only one that the client is entitled to with this grant.
    pub(crate) fn find_api(&self, grant_type: GrantType) -> Result<Arc<Api>, Refusal> {
        match &self.named {
            Some(api) => Ok(api.clone()),
            None => self.registry.find_only_api(self.client, grant_type).cloned(),
        }
    }

    /// Returns the requested scope.
    pub(crate) fn scope(&self) -> Option<&str> {
        self.request.scope.as_deref()
    }
}
