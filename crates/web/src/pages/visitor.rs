//! The visitor of a page.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::Response;
use countersign_server::state::State;
use http::request::Parts;

use crate::pages::error;
use crate::session::{Person, SessionState, identify};

/// The visitor of a page.
pub(crate) struct Visitor {
    /// The signed-in user, if there is one.
    pub(crate) person: Option<Person>,
}

impl FromRequestParts<Arc<State>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Response> {
        let session_state = identify(state, &parts.headers).await.map_err(|refusal| error::unavailable(&refusal))?;
        Ok(Self {
            person: if let SessionState::SignedIn(session) = session_state { Some(session.into()) } else { None },
        })
    }
}
