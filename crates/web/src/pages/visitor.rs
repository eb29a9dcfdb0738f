//! Who looks at a page.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::Response;
use countersign_server::state::State;
use http::request::Parts;

use crate::pages::error;
use crate::session::{Person, Standing, identify};

/// Who looks at a page.
pub(crate) struct Visitor {
    /// Who they are, if they have signed in.
    pub(crate) person: Option<Person>,
}

impl FromRequestParts<Arc<State>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Response> {
        let standing = identify(state, &parts.headers).await.map_err(|refusal| error::unavailable(&refusal))?;
        Ok(Self { person: if let Standing::SignedIn(session) = standing { Some(session.into()) } else { None } })
    }
}
