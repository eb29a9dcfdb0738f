//! Lists and ends a user's sessions.

use std::sync::Arc;

use axum::extract;
use countersign_server::limits::SESSION_IDLE_S;
use countersign_server::state::State;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::access::SignedIn;
use crate::api::envelope::{Answer, Success};
use crate::api::fault::Fault;
use crate::api::json_body::JsonBody;
use crate::session;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndSession {
    session: String,
}

/// `GET account/sessions`: lists the user's active sessions, most recently used first.
pub(crate) async fn sessions(
    extract::State(state): extract::State<Arc<State>>,
    SignedIn { session, .. }: SignedIn,
) -> Answer {
    let all = state.store.list_sessions(&session.user.id).await.map_err(|error| state.store_failed(&error))?;
    let now = state.now();
    let live = all.into_iter().filter(|one| now < one.expires_at && now < one.last_seen_at + SESSION_IDLE_S);
    let shown = live.map(|one| {
        json!({
            "id": one.id,
            "current": one.id == session.id,
            "createdAt": one.created_at,
            "lastSeenAt": one.last_seen_at,
            "expiresAt": one.expires_at,
            "address": one.address,
            "userAgent": one.user_agent,
        })
    });
    Ok(Success::new(shown.collect::<Vec<Value>>()))
}

/// `POST account/endSession`: ends one of the user's sessions, and revokes the tokens requested through it.
pub(crate) async fn end_session(
    extract::State(state): extract::State<Arc<State>>,
    SignedIn { session, .. }: SignedIn,
    JsonBody(asked): JsonBody<EndSession>,
) -> Answer {
    let own = state.store.list_sessions(&session.user.id).await.map_err(|error| state.store_failed(&error))?;
    if !own.iter().any(|one| one.id == asked.session) {
        return Err(Fault::bad_request("session: unknown or ended"));
    }
    session::end(&state, &asked.session).await?;
    Ok(Success::new(Value::Null))
}
