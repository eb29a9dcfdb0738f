//! `client_credentials`: a client requests a token for itself (RFC 6749 §4.4). There is never a refresh token (§4.4.3).

use crate::UnixTime;
use crate::api::Api;
use crate::client::{Client, Entitlement};
use crate::grant::{Grant, Subject, decide_scope};
use crate::refusal::Refusal;

/// Decides what to grant to an authenticated client that may use this grant with the API.
pub fn decide(
    client: &Client,
    api: &Api,
    entitlement: &Entitlement,
    asked: Option<&str>,
    now: UnixTime,
) -> Result<Grant, Refusal> {
    Ok(Grant {
        scope: decide_scope(api, entitlement, asked)?,
        subject: Subject::Client(client.id.clone()),
        auth_time: now,
        family: None,
    })
}
