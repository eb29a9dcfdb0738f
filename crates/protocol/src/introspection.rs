//! Introspection answers (RFC 7662 §2.2).

use serde_json::{Value, json};

use crate::api::Api;
use crate::claims::Claims;
use crate::client::Client;
use crate::issuer::Issuer;
use crate::refresh_token::StoredRefreshToken;
use crate::scope::Scope;
use crate::user::User;

/// The answer for whatever is not a live token that the caller may see: exactly this, whatever was wrong.
pub fn inactive() -> Value {
    json!({ "active": false })
}

/// True if the client may see an access token: its own, or one of an Api that it may introspect.
pub fn may_see(client: &Client, claims: &Claims, api: &Api) -> bool {
    claims.client_id == client.id.as_str() || client.may_introspect.contains(&api.id)
}

/// The answer for a live access token.
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

/// The answer for a live refresh token, to its own client: `scope` is what a refresh would grant now.
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
