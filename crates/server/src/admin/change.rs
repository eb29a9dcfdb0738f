//! One administrative change: alone, on the newest state, audited, durable before it is acknowledged, and then known here.

use std::sync::Arc;

use countersign_store::{Change, StoreError};

use crate::admin::audit::{self, Actor, Entry};
use crate::admin::change_error::ChangeError;
use crate::admin::change_queue::Turn;
use crate::admin::rights::{Authority, Operator};
use crate::registry::Registry;
use crate::state::State;

/// The server itself, as the audit log names it.
pub(crate) const SERVER: &str = "countersign";

/// Who makes a change, and what allows them to.
#[derive(Clone, Debug)]
pub struct Author {
    /// Who.
    pub actor: Actor,
    /// What allows it.
    pub authority: Authority,
}

impl Author {
    /// The server itself, by its own schedule or at its start.
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

/// A change under way. Dropped without [`Changing::finish`], it changes nothing.
pub struct Changing<'s> {
    state: &'s State,
    author: Author,
    /// The transaction.
    pub change: Change,
    /// The registry as of the moment before this change: nobody else can change it now.
    pub registry: Arc<Registry>,
    _turn: Turn,
}

impl<'s> Changing<'s> {
    /// Begins a change: takes the database's lock, reads what is newest, and decides again whether the author may.
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

    /// Audits, commits, and brings this node's registry up.
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

/// Something audited that changes nothing of the registry, such as a sign-in. Dropped without [`Event::finish`], nothing
/// happened.
pub struct Event {
    /// The transaction.
    pub change: Change,
    _turn: Turn,
}

impl Event {
    /// Begins an event whose turn it is: it takes the database's lock.
    pub async fn begin(state: &State, turn: Turn) -> Result<Self, StoreError> {
        let change = state.store.begin_event(state.now()).await?;
        // The sealing key, with which the record is chained, may have been replaced.
        state.follow().await.map_err(StoreError::from)?;
        Ok(Self { change, _turn: turn })
    }

    /// Audits and commits.
    pub async fn finish(mut self, state: &State, actor: &Actor, entry: Entry) -> Result<(), StoreError> {
        audit::record(state, actor, &mut self.change, entry).await?;
        self.change.commit().await
    }
}
