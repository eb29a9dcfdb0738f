//! Who may make a call: an extractor for each kind of caller, so that a handler without one is open to see.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use countersign_protocol::user::Role;
use countersign_server::admin::audit::Actor;
use countersign_server::admin::change::Author;
use countersign_server::admin::rights::Authority;
use countersign_server::http::caller::Caller;
use countersign_server::state::State;
use http::HeaderMap;
use http::request::Parts;

use crate::api::fault::Fault;
use crate::api::xsrf::check_pair;
use crate::session::{Session, SessionKey, Standing, identify};

/// Anybody: that no other origin asks was checked around every call.
pub(crate) struct Anybody {
    /// Who is at the browser.
    pub(crate) standing: Standing,
}

/// Somebody with a session of either kind, and its pair.
pub(crate) struct Begun {
    /// Who is at the browser: never unknown.
    pub(crate) standing: Standing,
    /// What the browser holds.
    pub(crate) key: SessionKey,
    /// Where they call from.
    pub(crate) caller: Caller,
    /// What the browser says of itself.
    pub(crate) headers: HeaderMap,
}

/// A person who has signed in, with the pair of their session.
pub(crate) struct SignedIn {
    /// Their session.
    pub(crate) session: Session,
    /// Where they call from.
    pub(crate) caller: Caller,
    /// What the browser says of itself.
    pub(crate) headers: HeaderMap,
}

/// A person who may change settings.
pub(crate) struct Administrator {
    /// Who they are, as the audit log names them.
    pub(crate) author: Author,
    /// Where they call from.
    pub(crate) caller: Caller,
}

impl FromRequestParts<Arc<State>> for Anybody {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Fault> {
        Ok(Self { standing: identify(state, &parts.headers).await? })
    }
}

impl FromRequestParts<Arc<State>> for Begun {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Fault> {
        let Anybody { standing } = Anybody::from_request_parts(parts, state).await?;
        let key = standing.key().cloned().ok_or(Fault::xsrf("no session; call GET getUISettings first"))?;
        check_pair(state, &parts.headers, &key)?;
        Ok(Self { standing, key, caller: find_caller(parts)?, headers: parts.headers.clone() })
    }
}

impl FromRequestParts<Arc<State>> for SignedIn {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Fault> {
        let Anybody { standing } = Anybody::from_request_parts(parts, state).await?;
        let Standing::SignedIn(session) = standing else {
            return Err(Fault::sign_in_needed());
        };
        check_pair(state, &parts.headers, &session.key)?;
        Ok(Self { session, caller: find_caller(parts)?, headers: parts.headers.clone() })
    }
}

impl FromRequestParts<Arc<State>> for Administrator {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Fault> {
        let SignedIn { session, caller, .. } = SignedIn::from_request_parts(parts, state).await?;
        if session.user.roles.contains(&Role::Administrator) {
            Ok(Self { author: author(&session, &caller, Some(Role::Administrator)), caller })
        } else {
            Err(Fault::not_allowed("only administrators can access the settings"))
        }
    }
}

impl SignedIn {
    /// The person as the author of a change of their own account.
    pub(crate) fn author(&self) -> Author {
        author(&self.session, &self.caller, None)
    }
}

fn author(session: &Session, caller: &Caller, role: Option<Role>) -> Author {
    let user = &session.user;
    let authority = Authority::Session { id: session.id.clone(), user_id: user.id.clone(), role };
    Author { actor: Actor::new(user.id.as_str(), caller), authority }
}

fn find_caller(parts: &Parts) -> Result<Caller, Fault> {
    parts.extensions.get::<Caller>().cloned().ok_or_else(|| Fault::internal("unknown caller"))
}
