//! Issues tokens: claims, a signature and, for users, a refresh token.

use countersign_protocol::UnixTime;
use countersign_protocol::access_token::{self, NewToken};
use countersign_protocol::api::Api;
use countersign_protocol::client::Client;
use countersign_protocol::grant::{Grant, Subject};
use countersign_protocol::ids::{ApiId, FamilyId};
use countersign_protocol::jose::base64url;
use countersign_protocol::refresh_token::{RefreshFamily, idle_expiry};
use countersign_protocol::refusal::Refusal;
use countersign_protocol::secret::{REFRESH_TOKEN_PREFIX, Secret};
use countersign_store::NewRefreshToken;
use serde::Serialize;

use crate::registry::Registry;
use crate::state::State;

/// A token set, and what to log about it.
pub(crate) struct Issued {
    access_token: String,
    expires_in: i64,
    refresh_token: Option<Secret>,
    /// The granted scopes.
    pub(crate) scope: String,
    /// The API.
    pub(crate) api_id: ApiId,
    /// The `jti`.
    pub(crate) token_id: String,
}

/// The success body (RFC 6749 §5.1).
#[derive(Serialize)]
struct TokenResponse<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

impl Issued {
    /// Adds a refresh token.
    pub(crate) fn with_refresh_token(self, refresh_token: Secret) -> Self {
        Self { refresh_token: Some(refresh_token), ..self }
    }

    /// Returns the success body.
    pub(crate) fn to_json(&self) -> String {
        let response = TokenResponse {
            access_token: &self.access_token,
            token_type: "Bearer",
            expires_in: self.expires_in,
            scope: &self.scope,
            refresh_token: self.refresh_token.as_ref().map(Secret::expose),
        };
        // Serializing strings and integers cannot fail.
        serde_json::to_string(&response).unwrap_or_default()
    }
}

/// A decided grant, ready to be issued.
pub(crate) struct TokenParams<'a> {
    /// The registry, whose keys sign.
    pub(crate) registry: &'a Registry,
    /// The client.
    pub(crate) client: &'a Client,
    /// The API.
    pub(crate) api: &'a Api,
    /// The grant.
    pub(crate) grant: Grant,
    /// The current time.
    pub(crate) now: UnixTime,
}

/// Issues an access token alone.
pub(crate) fn issue(state: &State, params: &TokenParams<'_>) -> Result<Issued, Refusal> {
    let TokenParams { registry, client, api, grant, now } = params;
    let token_id = base64url(&state.entropy.bytes::<16>());
    let issued_change = registry.change();
    let new = NewToken { issuer: &state.issuer, api, client, grant, token_id: &token_id, issued_change, now: *now };
    let payload = access_token::payload(new);
    let signed = registry.keys().sign(api.algorithm, &payload);
    let signed = signed.ok_or_else(|| Refusal::Internal(format!("no active {} key", api.algorithm)))?;
    Ok(Issued {
        access_token: signed.map_err(|error| Refusal::Internal(error.to_string()))?,
        expires_in: api.access_token_lifetime_s,
        refresh_token: None,
        scope: grant.scope.to_string(),
        api_id: api.id.clone(),
        token_id,
    })
}

/// Issues an access token and the first refresh token of a new family.
pub(crate) async fn issue_with_family(state: &State, mut params: TokenParams<'_>) -> Result<Issued, Refusal> {
    let TokenParams { registry, client, api, now, .. } = params;
    let Subject::User { id, .. } = &params.grant.subject else {
        return issue(state, &params);
    };
    let family = RefreshFamily {
        id: FamilyId::from_random(&state.entropy.bytes()),
        client_id: client.id.clone(),
        user_id: id.clone(),
        api_id: api.id.clone(),
        scope: params.grant.scope.clone(),
        auth_time: params.grant.auth_time,
        issued_change: registry.change(),
        user_change: registry.change(),
        expires_at: now + api.refresh.absolute_s,
        ended: false,
    };
    params.grant.family = Some(family.id.clone());
    let secret = Secret::from_random(REFRESH_TOKEN_PREFIX, &state.entropy.bytes());
    let stored = NewRefreshToken {
        hash: secret.hash(),
        issued_at: now,
        expires_at: idle_expiry(api.refresh, family.expires_at, now),
        access_token_expires_at: now + api.access_token_lifetime_s,
        retry: None,
    };
    let issued = issue(state, &params)?;
    let store = state.store.clone();
    state.write(async move { store.insert_family(&family, &stored).await }).await?;
    Ok(issued.with_refresh_token(secret))
}
