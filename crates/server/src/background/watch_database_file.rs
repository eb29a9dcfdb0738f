//! Sees that the file of SQLite was deleted or replaced: what is written into it from then on is lost.

use crate::state::State;

/// Looks at the file; each change is logged once.
pub async fn run_once(state: &State) {
    let store = state.store.clone();
    // A file may lie on a network; a task that waits for it must not hold others.
    match tokio::task::spawn_blocking(move || store.look_at_file()).await {
        Ok(None) => {}
        Ok(Some(Ok(()))) => tracing::info!("the database file is back; writes resume"),
        Ok(Some(Err(reason))) => tracing::error!(
            reason,
            "the database file was deleted or replaced; /readyz returns 503 and writes fail; put the file back, or \
             stop \
             the server and restore a backup"
        ),
        Err(error) => tracing::error!(%error, "failed to check the database file"),
    }
}
