//! A person's own account: the password, and the sessions.

use std::sync::Arc;

use axum::extract;
use countersign_protocol::secret::Secret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::demo::access::SignedIn;
use crate::demo::envelope::{Answer, Fault, Success};
use crate::demo::json_body::JsonBody;
use crate::limits::SESSION_IDLE_S;
use crate::pages::session;
use crate::passwords::{self, Checked};
use crate::state::State;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewPassword {
    password: Secret,
    #[serde(alias = "new_password")]
    new_password: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndSession {
    session: String,
}

/// The hash of the password of who is signed in, or Err if this is not theirs; guesses count as anywhere.
pub(crate) async fn check_own_password(
    state: &State,
    signed_in: &SignedIn,
    password: &Secret,
) -> Result<Secret, Fault> {
    let (login, now) = (signed_in.session.user.login.as_str(), state.now());
    let address = signed_in.caller.address;
    let Checked { stored, holds, attempt } = passwords::check(state, login, password, address, now).await?;
    let stored = stored.filter(|_| holds).ok_or(wrong_password("not their password"))?;
    state.guessing.succeed(attempt, now);
    Ok(stored.password_hash)
}

/// `POST account/changePassword`: every session and token of the user ends, and a new session begins.
pub(crate) async fn change_password(
    extract::State(state): extract::State<Arc<State>>,
    signed_in: SignedIn,
    JsonBody(asked): JsonBody<NewPassword>,
) -> Answer {
    check_new(&asked)?;
    let old_hash = check_own_password(&state, &signed_in, &asked.password).await?;
    let user_id = signed_in.session.user.id.clone();
    let (new, salt) = (asked.new_password.clone(), state.entropy.bytes());
    let hash = state.passwords.run(move || passwords::hash(&new, &salt)).await??;
    let (store, id, now) = (state.store.clone(), user_id.clone(), state.now());
    let at_least = now + state.registry.current().longest_lifetime_s();
    let changed = state.write(async move {
        let mut change = store.begin_change(now).await?;
        // Of two who change it at once, the later one has checked a password that is not theirs any more.
        let is_still = change.has_password(&id, &old_hash).await?;
        if is_still {
            change.set_password(&id, &hash, at_least).await?;
            change.commit().await?;
        }
        Ok(is_still)
    });
    if !changed.await? {
        return Err(wrong_password("the password was changed meanwhile"));
    }
    state.follow().await?;
    tracing::info!(request_id = signed_in.caller.request_id(), %user_id, "password changed");
    let registry = state.registry.current().clone();
    let user = registry.find_user(user_id.as_str()).ok_or_else(Fault::sign_in_needed)?;
    let (new, key) = session::new_session(&state, user, signed_in.caller.address, &signed_in.headers);
    let store = state.store.clone();
    state.write(async move { store.insert_session(&new).await }).await?;
    Ok(Success::new(Value::Null).with_cookies(session::cookies(&state, &key)))
}

fn wrong_password(reason: &'static str) -> Fault {
    Fault::wrong_answer("the password is wrong", reason)
}

fn check_new(asked: &NewPassword) -> Result<(), Fault> {
    let refuse = |what: String| Fault::bad_request(format!("newPassword: {what}"));
    passwords::check_new(&asked.new_password).map_err(refuse)?;
    if asked.new_password.expose() == asked.password.expose() {
        return Err(refuse("is the old one".to_owned()));
    }
    Ok(())
}

/// `GET account/sessions`: the person's live sessions, the last used first.
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

/// `POST account/endSession`: ends one of the person's own sessions, and the tokens asked through it.
pub(crate) async fn end_session(
    extract::State(state): extract::State<Arc<State>>,
    SignedIn { session, .. }: SignedIn,
    JsonBody(asked): JsonBody<EndSession>,
) -> Answer {
    let own = state.store.list_sessions(&session.user.id).await.map_err(|error| state.store_failed(&error))?;
    if !own.iter().any(|one| one.id == asked.session) {
        return Err(Fault::bad_request("session: not one of yours, or ended"));
    }
    session::end(&state, &asked.session).await?;
    Ok(Success::new(Value::Null))
}
