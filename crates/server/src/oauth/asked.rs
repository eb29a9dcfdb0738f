//! What a token request asks, and by whom.

use std::sync::Arc;

use countersign_protocol::api::Api;
use countersign_protocol::client::Client;
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::refusal::Refusal;
use countersign_protocol::token_request::TokenRequest;

use crate::http::caller::Caller;
use crate::registry::Registry;

/// What is asked, and by whom: everything that a grant decides on.
pub(crate) struct Asked<'a> {
    /// What is registered.
    pub(crate) registry: &'a Registry,
    /// From where.
    pub(crate) caller: &'a Caller,
    /// The client, which has authenticated.
    pub(crate) client: &'a Client,
    /// The Api that the request names.
    pub(crate) named: Option<Arc<Api>>,
    /// The request.
    pub(crate) request: &'a TokenRequest,
}

impl Asked<'_> {
    /// The Api that is named, or the only one that the client may ask by this grant.
    pub(crate) fn find_api(&self, grant_type: GrantType) -> Result<Arc<Api>, Refusal> {
        match &self.named {
            Some(api) => Ok(api.clone()),
            None => self.registry.find_only_api(self.client, grant_type).cloned(),
        }
    }

    /// The scope that is asked for.
    pub(crate) fn scope(&self) -> Option<&str> {
        self.request.scope.as_deref()
    }
}
