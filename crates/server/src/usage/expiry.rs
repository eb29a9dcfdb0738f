//! Secrets that end soon: said in the log and in the metrics while there is time to rotate.

use countersign_protocol::UnixTime;
use countersign_protocol::client::{Client, Credential};
use countersign_protocol::status::Status;

use crate::registry::Registry;

/// It is warned of this long before a secret ends, in seconds: a working week and its weekends.
const WARNED_BEFORE_S: i64 = 7 * 86_400;

/// A secret that ends soon.
#[derive(Debug)]
pub(crate) struct Expiring<'r> {
    /// Whose it is.
    pub(crate) client: &'r Client,
    /// Which.
    pub(crate) credential: &'r Credential,
    /// When it ends.
    pub(crate) at: UnixTime,
    /// True if the client has none that lives longer.
    pub(crate) is_last: bool,
}

/// The secrets of active clients that live now and end within [`WARNED_BEFORE_S`].
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
