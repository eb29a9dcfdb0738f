//! Requests as bytes, prepared before the measurement.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::seed;

/// Requests that are sent in turn, repeatedly.
pub(crate) type Requests = Arc<[Vec<u8>]>;

/// The scope of every token request.
const SCOPE: &str = "reports%3Aread";

/// Token requests by client credentials, one for each of these clients.
pub(crate) fn tokens(clients: impl Iterator<Item = usize>) -> Requests {
    let body = format!("grant_type=client_credentials&scope={SCOPE}");
    clients.map(|client| post("/oauth2/token", client, &body)).collect()
}

/// Token requests by client credentials, one for each of these clients of [`seed::alike`].
pub(crate) fn tokens_of_alike(clients: impl Iterator<Item = u32>) -> Requests {
    clients.map(|number| token_of(&format!("alike-{number}"), seed::secret_of_alike().expose())).collect()
}

/// A token request by client credentials.
pub(crate) fn token_of(client_id: &str, secret: &str) -> Vec<u8> {
    let basic = STANDARD.encode(format!("{client_id}:{secret}"));
    post_as("/oauth2/token", &basic, &format!("grant_type=client_credentials&scope={SCOPE}"))
}

/// A refresh request.
pub(crate) fn refresh(client: usize, refresh_token: &str) -> Vec<u8> {
    post("/oauth2/token", client, &format!("grant_type=refresh_token&refresh_token={refresh_token}"))
}

/// An introspection request.
pub(crate) fn introspection(client: usize, token: &str) -> Vec<u8> {
    post("/oauth2/introspect", client, &format!("token={token}"))
}

/// A revocation request.
pub(crate) fn revocation(client: usize, token: &str) -> Vec<u8> {
    post("/oauth2/revoke", client, &format!("token={token}"))
}

/// A token request of an administrator, with credentials in the form. Ours need no escapes.
pub(crate) fn administrator_token(client_id: &str, client_secret: &str) -> Vec<u8> {
    let body = format!("grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}");
    let length = body.len();
    format!(
        "POST /oauth2/token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A request for the first page of a list of the admin API.
pub(crate) fn list(path: &str, token: &str) -> Vec<u8> {
    format!("GET /admin/v1/{path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\r\n").into_bytes()
}

/// A request that changes or creates something through the admin API.
pub(crate) fn change(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} /admin/v1/{path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A readiness check.
pub(crate) const READY: &[u8] = b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";

fn post(path: &str, client: usize, body: &str) -> Vec<u8> {
    post_as(path, &seed::basic(client), body)
}

fn post_as(path: &str, basic: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json\r\nauthorization: Basic {basic}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
