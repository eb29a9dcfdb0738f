//! `/admin/v1/users/{id}/failed-attempts`: failed passwords, and the lock that results from them.

use std::sync::Arc;

use axum::extract::{self, Path};
use countersign_protocol::user::User;
use serde_json::{Value, json};

use crate::admin::answer::{Answer, done, show};
use crate::admin::audit::Entry;
use crate::admin::change::Changing;
use crate::admin::change_error::ChangeError;
use crate::admin::fields::find_user;
use crate::admin::rights::Operator;
use crate::people::attempt_rules;
use crate::people::attempt_rules::KNOWN_S;
use crate::state::State;

/// `GET users/{id}/failed-attempts`
pub(crate) async fn find(
    extract::State(state): extract::State<Arc<State>>,
    _: Operator,
    Path(id): Path<String>,
) -> Answer {
    let user = find_user(&state.registry.current(), &id)?.clone();
    Ok(show(&view(&state, &user).await?))
}

/// `DELETE users/{id}/failed-attempts`: unlocks the user.
pub(crate) async fn delete(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path(id): Path<String>,
) -> Answer {
    let mut changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let user = find_user(&registry, &id)?;
    operator.check_can_administer_user(user)?;
    let before = Some(view(&state, user).await?);
    let name = state.name_mac(user.login.as_str());
    changing.change.forget_failures(&user.id, name.as_bytes()).await?;
    let (action, target) = ("user.unlock", user.id.to_string());
    changing.finish(Entry { action, target, before, after: None }).await?;
    Ok(done())
}

async fn view(state: &State, user: &User) -> Result<Value, ChangeError> {
    let (name, now) = (state.name_mac(user.login.as_str()), state.now());
    let summary = state.store.summarize_failures(&user.id, name.as_bytes(), now - KNOWN_S).await?;
    Ok(json!({
        "failures": summary.failures.failures,
        "last_failure_at": summary.last_failure_at,
        "locked": attempt_rules::is_locked(&summary.failures),
        "unknown_devices_allowed_at": attempt_rules::waits_until(&summary.failures, now),
        "known_devices": summary.known_devices,
    }))
}
