//! Warns about secrets that expire soon and are still in use.

use crate::limits::IN_USE_S;
use crate::state::State;
use crate::usage::expiry::{self, Expiring};

/// Logs one line for each secret that expires within a week and is the client's last, or was used within a day.
pub async fn run_once(state: &State) {
    let now = state.now();
    let registry = state.registry.current().clone();
    for Expiring { client, credential, at, is_last } in expiry::find(&registry, now) {
        let histories = match state.store.list_credential_histories(&client.id).await {
            Ok(histories) => histories,
            Err(error) => return tracing::warn!(%error, "failed to read which secrets are in use"),
        };
        let stored = histories.into_iter().find(|history| history.credential_id == credential.id);
        let used = state.uses.add_to(&credential.id, stored.and_then(|history| history.uses));
        let is_used = used.is_some_and(|used| now - used.last_used_at < IN_USE_S);
        if is_last || is_used {
            let (client_id, credential_id) = (client.id.as_str(), credential.id.as_str());
            tracing::warn!(
                client_id,
                credential_id,
                expires_at = at,
                is_last,
                is_used,
                "a secret expires soon; rotate it"
            );
        }
    }
}
