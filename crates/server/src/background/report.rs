//! Reports failures of background tasks.

use countersign_protocol::refusal::Refusal;
use countersign_store::StoreError;

use crate::admin::change_error::ChangeError;
use crate::state::State;

/// Reports that a task failed. Database failures are counted, and each kind is logged once a minute.
pub(crate) fn report(state: &State, what: &'static str, error: &StoreError) {
    if let Refusal::Internal(reason) = state.store_failed(error) {
        tracing::warn!(reason, "{what}");
    }
}

/// Reports that a task's change failed.
pub(crate) fn report_problem(state: &State, what: &'static str, problem: &ChangeError) {
    match problem.trouble() {
        Some(trouble) => state.note_trouble(trouble.kind, &trouble.reason),
        None => tracing::warn!(%problem, "{what}"),
    }
}
