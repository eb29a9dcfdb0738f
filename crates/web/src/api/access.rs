//! Access checks: an extractor for each kind of caller. A handler without one is easy to spot.

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
use crate::session::{Session, SessionKey, SessionState, identify};

/// Any caller. The envelope has already refused other origins.
pub(crate) struct Anybody {
    /// The state of the browser's session.
    pub(crate) session_state: SessionState,
}

/// A caller with an anonymous or signed-in session, and its XSRF pair.
pub(crate) struct CsrfVerified {
    /// The state of the session, which is never unknown.
    pub(crate) session_state: SessionState,
    /// The session key from the browser's cookie.
    pub(crate) key: SessionKey,
    /// The caller's address.
    pub(crate) caller: Caller,
    /// The browser's User-Agent.
    pub(crate) headers: HeaderMap,
}

/// A signed-in user with a valid XSRF pair.
pub(crate) struct SignedIn {
    /// The user's session.
    pub(crate) session: Session,
    /// The caller's address.
    pub(crate) caller: Caller,
    /// The browser's User-Agent.
    pub(crate) headers: HeaderMap,
}

/// A signed-in user who may change the settings.
pub(crate) struct Administrator {
    /// The user's name in the audit log.
    pub(crate) author: Author,
    /// The caller's address.
    pub(crate) caller: Caller,
}

impl FromRequestParts<Arc<State>> for Anybody {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Fault> {
        Ok(Self { session_state: identify(state, &parts.headers).await? })
    }
}

impl FromRequestParts<Arc<State>> for CsrfVerified {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Fault> {
        let Anybody { session_state } = Anybody::from_request_parts(parts, state).await?;
        let key = session_state.key().cloned().ok_or(Fault::xsrf("no session; call GET getUISettings first"))?;
        check_pair(state, &parts.headers, &key)?;
        Ok(Self { session_state, key, caller: find_caller(parts)?, headers: parts.headers.clone() })
    }
}

impl FromRequestParts<Arc<State>> for SignedIn {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Fault> {
        let Anybody { session_state } = Anybody::from_request_parts(parts, state).await?;
        let SessionState::SignedIn(session) = session_state else {
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
    /// Returns the user as the author of a change to their own account.
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
