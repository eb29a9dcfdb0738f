//! One administrative change: alone, on the newest state, audited, durable before it is acknowledged, and then known here.

use std::sync::Arc;

use countersign_store::Change;
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

use crate::admin::access::Operator;
use crate::admin::audit;
use crate::admin::problem::Problem;
use crate::registry::Registry;
use crate::state::State;

/// A change under way. Dropped without [`Changing::finish`], it changes nothing.
pub(crate) struct Changing<'s> {
    state: &'s State,
    operator: &'s Operator,
    /// The transaction.
    pub(crate) change: Change,
    /// The registry as of the moment before this change: nobody else can change it now.
    pub(crate) registry: Arc<Registry>,
    _alone: OwnedMutexGuard<()>,
}

/// What is written of a change: what was done, to what, and how that was before and is after.
pub(crate) struct Entry {
    /// Such as `client.create`.
    pub(crate) action: &'static str,
    /// Such as `nightly-job`.
    pub(crate) target: String,
    /// Nothing, if it was not there.
    pub(crate) before: Option<Value>,
    /// Nothing, if it is gone.
    pub(crate) after: Option<Value>,
}

impl<'s> Changing<'s> {
    /// Begins a change: takes the database's lock, then reads what is newest.
    pub(crate) async fn begin(state: &'s State, operator: &'s Operator) -> Result<Self, Problem> {
        state.registry.check_database()?;
        // One at a time on a node: many that wait for the lock must not take the connection that the first one needs.
        let alone = state.changing.clone().lock_owned().await;
        let change = state.store.begin_change(state.now()).await?;
        state.follow().await?;
        Ok(Self { state, operator, change, registry: state.registry.current().clone(), _alone: alone })
    }

    /// Audits, commits, and brings this node's registry up.
    pub(crate) async fn finish(mut self, entry: Entry) -> Result<(), Problem> {
        let Entry { action, target, before, after } = entry;
        let (request_id, actor) = (self.operator.caller.request_id().to_owned(), self.operator.name.clone());
        audit::record(self.state, self.operator, &mut self.change, Entry { action, target: target.clone(), before, after })
            .await?;
        self.change.commit().await?;
        self.state.follow().await?;
        tracing::info!(request_id, actor, action, target, "changed");
        Ok(())
    }
}
