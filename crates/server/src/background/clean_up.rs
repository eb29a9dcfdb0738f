//! Deletes what is dead: revocations whose tokens have expired, families of refresh tokens that have ended.

use crate::limits::DEAD_MARGIN_S;
use crate::state::State;

/// Deletes what died before a margin ago, in memory and in the database.
pub async fn run_once(state: &State) {
    let before = state.now() - DEAD_MARGIN_S;
    state.registry.drop_expired(before);
    let deleted = async {
        let revocations = state.store.delete_expired_revocations(before).await?;
        Ok::<_, countersign_store::StoreError>((revocations, state.store.delete_dead_families(before).await?))
    };
    match deleted.await {
        Ok((0, 0)) => {}
        Ok((revocations, families)) => tracing::info!(revocations, families, "deleted what was dead"),
        Err(error) => tracing::warn!(%error, "what is dead could not be deleted"),
    }
}
