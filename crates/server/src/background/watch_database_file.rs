//! Detects that the SQLite file or its log was deleted or replaced. Everything written to it after that would be lost.

use crate::background::report::report;
use crate::state::State;

/// Checks the file. Each change is logged once.
pub async fn run_once(state: &State) {
    let store = state.store.clone();
    // The file may be on a network mount. A task that waits for it must not block others.
    match tokio::task::spawn_blocking(move || store.look_at_file()).await {
        Ok(None) => {}
        Ok(Some(Ok(()))) => tracing::info!("the database file is back; writes resume"),
        Ok(Some(Err(reason))) => {
            tracing::error!(reason, "the database file was deleted or replaced; /readyz returns 503 and writes fail");
            // Everything that was committed must be in the file if it is still there.
            if let Err(error) = state.store.fold_log().await {
                report(state, "failed to write the log of the database to its file", &error);
            }
        }
        Err(error) => tracing::error!(%error, "failed to check the database file"),
    }
}
