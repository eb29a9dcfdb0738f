//! `/admin/v1/users/{id}/sessions`: a user's sessions.

use std::sync::Arc;

use axum::extract::{self, Path};
use countersign_store::StoredSession;
use http::Uri;
use serde_json::{Value, json};

use crate::admin::answer::{Answer, done};
use crate::admin::audit::Entry;
use crate::admin::change::Changing;
use crate::admin::change_error::ChangeError;
use crate::admin::fields::find_user;
use crate::admin::page::{Query, page};
use crate::admin::rights::Operator;
use crate::admin::users::at_least;
use crate::state::State;

/// `GET users/{id}/sessions`
pub(crate) async fn list(
    extract::State(state): extract::State<Arc<State>>,
    _: Operator,
    Path(id): Path<String>,
    uri: Uri,
) -> Answer {
    let query = Query::parse(&uri, &["after", "limit"])?;
    let registry = state.registry.current().clone();
    let sessions = state.store.list_sessions(&find_user(&registry, &id)?.id).await?;
    page(&query, sessions, |session| session.id.as_str(), view)
}

/// `DELETE users/{id}/sessions/{session}`: also revokes the tokens requested through it.
pub(crate) async fn end(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path((id, session)): Path<(String, String)>,
) -> Answer {
    let mut changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let user = find_user(&registry, &id)?;
    operator.check_can_administer_user(user)?;
    let sessions = state.store.list_sessions(&user.id).await?;
    let found = sessions.iter().find(|one| one.id == session);
    let before = view(found.ok_or_else(|| ChangeError::not_found("session", &session))?);
    let target = format!("{} {session}", user.id);
    changing.change.end_session(&session, at_least(&state)).await?;
    changing.finish(Entry { action: "session.end", target, before: Some(before), after: None }).await?;
    Ok(done())
}

fn view(session: &StoredSession) -> Value {
    json!({
        "id": session.id,
        "created_at": session.created_at,
        "last_seen_at": session.last_seen_at,
        "expires_at": session.expires_at,
        "address": session.address,
        "user_agent": session.user_agent,
    })
}
