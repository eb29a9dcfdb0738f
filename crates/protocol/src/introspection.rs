//! Introspection responses (RFC 7662 §2.2).

use serde_json::{Value, json};

use crate::api::Api;
use crate::claims::Claims;
use crate::client::Client;
use crate::issuer::Issuer;
use crate::refresh_token::StoredRefreshToken;
use crate::scope::Scope;
use crate::user::User;

/// The response for anything but an active token that the caller may introspect. It is always the same, whatever the
/// reason.
pub fn inactive() -> Value {
    json!({ "active": false })
}

/// True if the client may introspect an access token: its own, or a token of an API that it may introspect.
pub fn may_see(client: &Client, claims: &Claims, api: &Api) -> bool {
    claims.client_id == client.id.as_str() || client.may_introspect.contains(&api.id)
}

/// Returns the response for an active access token.
pub fn access_token(claims: &Claims) -> Value {
    json!({
        "active": true,
        "scope": claims.scope.to_string(),
        "client_id": claims.client_id,
        "username": claims.unique_name,
        "token_type": "Bearer",
        "exp": claims.expires_at,
        "iat": claims.issued_at,
        "sub": claims.subject,
        "aud": claims.audiences.first(),
        "iss": claims.issuer,
        "jti": claims.token_id,
        "auth_time": claims.auth_time,
    })
}

/// Returns the response for an active refresh token, to its own client. `scope` is what a refresh would grant now.
pub fn refresh_token(found: &StoredRefreshToken, scope: &Scope, user: &User, api: &Api, issuer: &Issuer) -> Value {
    json!({
        "active": true,
        "scope": scope.to_string(),
        "client_id": found.family.client_id.as_str(),
        "username": user.login.as_str(),
        "sub": user.id.as_str(),
        "exp": found.expires_at,
        "iat": found.issued_at,
        "iss": issuer.as_str(),
        "aud": api.audience.as_str(),
    })
}
