//! Secrets that are about to expire, for the log and the metrics.

use countersign_protocol::UnixTime;
use countersign_protocol::client::{Client, Credential};
use countersign_protocol::status::Status;

use crate::registry::Registry;

/// How long before its expiry a secret is reported, in seconds. A week gives time to rotate it.
const WARNED_BEFORE_S: i64 = 7 * 86_400;

/// A secret that is about to expire.
#[derive(Debug)]
pub(crate) struct Expiring<'r> {
    /// Its client.
    pub(crate) client: &'r Client,
    /// The secret.
    pub(crate) credential: &'r Credential,
    /// When it expires.
    pub(crate) at: UnixTime,
    /// True if the client has no secret that is valid for longer.
    pub(crate) is_last: bool,
}

/// Finds valid secrets of active clients that expire within [`WARNED_BEFORE_S`].
pub(crate) fn find(registry: &Registry, now: UnixTime) -> Vec<Expiring<'_>> {
    let active = registry.expiring().filter(|client| client.status == Status::Active);
    active.flat_map(|client| of_client(client, now)).collect()
}

fn of_client(client: &Client, now: UnixTime) -> impl Iterator<Item = Expiring<'_>> {
    client.credentials.iter().filter_map(move |credential| {
        let at = credential.expires_at.filter(|at| *at > now && *at <= now + WARNED_BEFORE_S)?;
        let outlives = |other: &Credential| other.expires_at.is_none_or(|other| other > at);
        Some(Expiring { client, credential, at, is_last: !client.credentials.iter().any(outlives) })
    })
}
