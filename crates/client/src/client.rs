//! A client of an authorization server. Each call prepares a request, sends it, and parses the response.

use countersign_protocol::client::ClientAuthMethod;
use countersign_protocol::secret::Secret;
use http::Response;
use serde_json::{Map, Value as Json};

use crate::answer::{read_introspection, read_revocation};
use crate::endpoints::{Endpoint, Endpoints};
use crate::error::ClientError;
use crate::exchange::{Field, PreparedRequest, Value};
use crate::token_response::TokenResponse;
use crate::transport::Transport;

/// A client with its secret. `Debug` does not show the secret.
#[derive(Clone, Debug)]
pub struct Client<T> {
    endpoints: Endpoints,
    client_id: String,
    client_secret: Secret,
    auth_method: ClientAuthMethod,
    resource: Option<String>,
    transport: T,
}

impl<T> Client<T> {
    /// Creates a client that authenticates with HTTP Basic (RFC 6749 §2.3.1).
    pub fn new(endpoints: Endpoints, client_id: impl Into<String>, client_secret: Secret, transport: T) -> Self {
        Self {
            endpoints,
            client_id: client_id.into(),
            client_secret,
            auth_method: ClientAuthMethod::ClientSecretBasic,
            resource: None,
            transport,
        }
    }

    /// Uses this authentication method instead.
    #[must_use]
    pub fn with_auth_method(mut self, auth_method: ClientAuthMethod) -> Self {
        self.auth_method = auth_method;
        self
    }

    /// Requests tokens for the API with this audience (RFC 8707 §2).
    #[must_use]
    pub fn with_resource(mut self, audience: impl Into<String>) -> Self {
        self.resource = Some(audience.into());
        self
    }

    /// Prepares a token request with the client credentials grant (RFC 6749 §4.4.2).
    pub fn prepare_client_credentials(&self, scope: Option<&str>) -> PreparedRequest {
        self.prepare_token("client_credentials", scope)
    }

    /// Prepares a token request with a user's password (RFC 6749 §4.3.2; deprecated, RFC 9700 §2.4).
    pub fn prepare_password(&self, user_name: &str, password: &Secret, scope: Option<&str>) -> PreparedRequest {
        self.prepare_token("password", scope)
            .with("username", Value::Plain(user_name.to_owned()))
            .with("password", Value::Secret(password.clone()))
    }

    /// Prepares a token request with a refresh token (RFC 6749 §6).
    pub fn prepare_refresh(&self, refresh_token: &Secret, scope: Option<&str>) -> PreparedRequest {
        self.prepare_token("refresh_token", scope).with("refresh_token", Value::Secret(refresh_token.clone()))
    }

    /// Prepares an introspection request (RFC 7662 §2.1).
    pub fn prepare_introspect(&self, token: &Secret) -> PreparedRequest {
        self.prepare(self.endpoints.introspection_endpoint(), ("token", Value::Secret(token.clone())))
    }

    /// Prepares a revocation request (RFC 7009 §2.1).
    pub fn prepare_revoke(&self, token: &Secret) -> PreparedRequest {
        self.prepare(self.endpoints.revocation_endpoint(), ("token", Value::Secret(token.clone())))
    }

    fn prepare_token(&self, grant_type: &str, scope: Option<&str>) -> PreparedRequest {
        self.prepare(self.endpoints.token_endpoint(), ("grant_type", Value::Plain(grant_type.to_owned())))
            .with_optional("scope", scope)
            .with_optional("resource", self.resource.as_deref())
    }

    fn prepare(&self, endpoint: &Endpoint, first: (&'static str, Value)) -> PreparedRequest {
        let client = Field::of_client(self.auth_method, &self.client_id, &self.client_secret);
        PreparedRequest::new(endpoint, first, client)
    }
}

impl<T: Transport> Client<T> {
    /// Gets a token with the client credentials grant.
    pub async fn request_token_with_client_credentials(
        &self,
        scope: Option<&str>,
    ) -> Result<TokenResponse, ClientError> {
        self.request_token(self.prepare_client_credentials(scope)).await
    }

    /// Gets a token with a user's password.
    pub async fn request_token_with_password(
        &self,
        user_name: &str,
        password: &Secret,
        scope: Option<&str>,
    ) -> Result<TokenResponse, ClientError> {
        self.request_token(self.prepare_password(user_name, password, scope)).await
    }

    /// Sends exactly this token request.
    pub async fn request_token(&self, prepared: PreparedRequest) -> Result<TokenResponse, ClientError> {
        TokenResponse::read(self.send(&prepared).await?)
    }

    /// Gets a token with a refresh token. Many servers accept each refresh token once and return its successor.
    pub async fn refresh_token(
        &self,
        refresh_token: &Secret,
        scope: Option<&str>,
    ) -> Result<TokenResponse, ClientError> {
        self.request_token(self.prepare_refresh(refresh_token, scope)).await
    }

    /// Introspects a token. The result has `active` and, if it is true, more members (RFC 7662 §2.2).
    pub async fn introspect(&self, token: &Secret) -> Result<Map<String, Json>, ClientError> {
        read_introspection(self.send(&self.prepare_introspect(token)).await?)
    }

    /// Revokes a token. Also succeeds for a token that the server does not know (RFC 7009 §2.2).
    pub async fn revoke_token(&self, token: &Secret) -> Result<(), ClientError> {
        read_revocation(self.send(&self.prepare_revoke(token)).await?)
    }

    async fn send(&self, prepared: &PreparedRequest) -> Result<Response<Vec<u8>>, ClientError> {
        Ok(self.transport.send(prepared.to_http()).await?)
    }
}
