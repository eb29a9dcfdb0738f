//! How a task tells that it failed.

use countersign_protocol::refusal::Refusal;
use countersign_store::StoreError;

use crate::admin::change_error::ChangeError;
use crate::state::State;

/// Tells that a task failed: what the database cannot do now is counted, and logged once a minute for each kind.
pub(crate) fn report(state: &State, what: &'static str, error: &StoreError) {
    if let Refusal::Internal(reason) = state.store_failed(error) {
        tracing::warn!(reason, "{what}");
    }
}

/// The same for a change.
pub(crate) fn report_problem(state: &State, what: &'static str, problem: &ChangeError) {
    match problem.trouble() {
        Some(trouble) => state.note_trouble(trouble.kind, &trouble.reason),
        None => tracing::warn!(%problem, "{what}"),
    }
}
