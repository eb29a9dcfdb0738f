//! Deletes what is no longer needed: expired revocations and removals, families of refresh tokens, ended sessions and
//! sign-ins, old refusals and counts, and nodes that have stopped. One of all nodes does this.

use countersign_store::StoreError;

use crate::background::lease::holds_lease;
use crate::background::report::report;
use crate::limits::{
    CLEAN_UP_LEASE_S, DEAD_MARGIN_S, DELETIONS_KEPT_S, MAX_REGISTRY_AGE_S, MAX_STORED_REFUSALS, MAX_STRANGERS,
    REFUSALS_KEPT_S, SESSION_IDLE_S, SILENT_NODE_KEPT_MS, TOKEN_COUNTS_KEPT_S,
};
use crate::people::attempt_rules::{CODE_WINDOW_S, KNOWN_S};
use crate::state::State;

const LEASE: &str = "clean up";

/// Deletes what expired more than a margin ago, from memory and from the database.
pub async fn run_once(state: &State) {
    let before = state.now() - DEAD_MARGIN_S;
    state.registry.drop_expired(before);
    if !holds_lease(state, LEASE, CLEAN_UP_LEASE_S).await {
        return;
    }
    let (store, now) = (&state.store, state.now());
    let deleted = [
        store.delete_expired_revocations(before).await,
        // A node that has lost its database issues tokens from its last registry for as long as a registry may be old.
        store.delete_expired_removals(before - MAX_REGISTRY_AGE_S).await,
        store.delete_dead_families(before).await,
        store.delete_expired_sign_ins(before).await,
        store.delete_expired_sessions(before, before - SESSION_IDLE_S).await,
        store.delete_old_failures(now - KNOWN_S, now - CODE_WINDOW_S, MAX_STRANGERS).await,
        store.delete_old_refusals(now - REFUSALS_KEPT_S, MAX_STORED_REFUSALS).await,
        store.delete_old_token_counts(now - TOKEN_COUNTS_KEPT_S).await,
        store.delete_silent_nodes(SILENT_NODE_KEPT_MS).await,
        store.forget_deletions(now - DELETIONS_KEPT_S).await,
    ];
    if let Err(error) = forget_mac_keys(state).await {
        report(state, "failed to delete the remains of a replaced sealing key", &error);
    }
    let mut rows = 0;
    for deleted in deleted {
        match deleted {
            Ok(some) => rows += some,
            Err(error) => report(state, "failed to delete some expired rows", &error),
        }
    }
    if rows > 0 {
        tracing::info!(rows, "deleted expired rows");
    }
}

/// Nothing issued under a sealing key of this age is still accepted. Every node reads this.
async fn forget_mac_keys(state: &State) -> Result<(), StoreError> {
    let before = state.now() - KNOWN_S;
    if state.store.has_mac_keys(before).await? {
        let mut change = state.store.begin_change(state.now()).await?;
        change.forget_mac_keys(before).await?;
        change.commit().await?;
    }
    Ok(())
}
