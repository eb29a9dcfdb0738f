//! An administrative change: exclusive, based on the newest state, audited, durable before it is acknowledged, and then
//! applied to this node.

use std::sync::Arc;

use countersign_store::{Change, StoreError};

use crate::admin::audit::{self, Actor, Entry};
use crate::admin::change_error::ChangeError;
use crate::admin::change_queue::Turn;
use crate::admin::rights::{Authority, Operator};
use crate::registry::Registry;
use crate::state::State;

/// The name of the server itself in the audit log.
pub(crate) const SERVER: &str = "countersign";

/// The author of a change, and what authorizes it.
#[derive(Clone, Debug)]
pub struct Author {
    /// The author.
    pub actor: Actor,
    /// The authorization.
    pub authority: Authority,
}

impl Author {
    /// The server itself, by schedule or at startup.
    pub fn server() -> Self {
        let actor = Actor { name: SERVER.to_owned(), address: String::new(), request_id: String::new() };
        Self { actor, authority: Authority::Server }
    }
}

impl From<&Operator> for Author {
    fn from(operator: &Operator) -> Self {
        let actor = Actor::new(operator.name.as_str(), &operator.caller);
        Self { actor, authority: Authority::Token(Box::new(operator.clone())) }
    }
}

/// A change in progress. Dropping it without [`Changing::finish`] rolls it back.
pub struct Changing<'s> {
    state: &'s State,
    author: Author,
    /// The transaction.
    pub change: Change,
    /// The registry immediately before this change. Nobody else can change it now.
    pub registry: Arc<Registry>,
    _turn: Turn,
}

impl<'s> Changing<'s> {
    /// Begins a change: takes the database's lock, loads the newest registry, and checks the author's rights again.
    pub async fn begin(state: &'s State, author: impl Into<Author>) -> Result<Self, ChangeError> {
        state.registry.check_database()?;
        let author = author.into();
        let turn = state.changing.wait(author.authority.waiter()).await?;
        let mut change = state.store.begin_change(state.now()).await?;
        state.follow().await?;
        author.authority.check_still(state, &mut change).await?;
        let registry = state.registry.current().clone();
        Ok(Self { state, author, change, registry, _turn: turn })
    }

    /// Writes the audit record, commits, and updates this node's registry.
    pub async fn finish(mut self, entry: Entry) -> Result<(), ChangeError> {
        let (action, target) = (entry.action, entry.target.clone());
        audit::record(self.state, &self.author.actor, &mut self.change, entry).await?;
        self.change.commit().await?;
        self.state.follow().await.map_err(|error| ChangeError::from(error).after_commit())?;
        let Actor { name, request_id, .. } = self.author.actor;
        tracing::info!(request_id, actor = name, action, target, "changed");
        Ok(())
    }
}

/// An audited event that does not change the registry, such as a sign-in. Dropping it without [`Event::finish`] rolls
/// it back.
pub struct Event {
    /// The transaction.
    pub change: Change,
    _turn: Turn,
}

impl Event {
    /// Begins an event that has its turn, by taking the database's lock.
    pub async fn begin(state: &State, turn: Turn) -> Result<Self, StoreError> {
        let change = state.store.begin_event(state.now()).await?;
        // The sealing key, which chains the record, may have been replaced.
        state.follow().await.map_err(StoreError::from)?;
        Ok(Self { change, _turn: turn })
    }

    /// Writes the audit record and commits.
    pub async fn finish(mut self, state: &State, actor: &Actor, entry: Entry) -> Result<(), StoreError> {
        audit::record(state, actor, &mut self.change, entry).await?;
        self.change.commit().await
    }
}
