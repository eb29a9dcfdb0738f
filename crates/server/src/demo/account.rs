//! A person's own account: the password, and the sessions.

use std::sync::Arc;

use axum::extract;
use countersign_protocol::secret::Secret;
use countersign_protocol::user::User;
use countersign_store::NewSession;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::change::{Changing, Entry};
use crate::demo::access::SignedIn;
use crate::demo::envelope::{Answer, Fault, Success, failed, to_the_end};
use crate::demo::json_body::JsonBody;
use crate::demo::second_factor::{self, ProvedCode};
use crate::http::source::Source;
use crate::limits::SESSION_IDLE_S;
use crate::pages::session;
use crate::people::attempt::Presenter;
use crate::people::guessing::NameMac;
use crate::people::known_device::{Browser, DeviceCookie};
use crate::people::password_queue::Who;
use crate::people::password_strength;
use crate::people::passwords::{self, Named, Verdict};
use crate::state::State;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewPassword {
    password: Secret,
    #[serde(alias = "new_password")]
    new_password: Secret,
    /// Needed where a one-time code is enrolled.
    #[serde(default)]
    code: Option<Secret>,
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
    let SignedIn { session, caller, headers } = signed_in;
    let named = Named::find(state, session.user.login.as_str()).await?;
    let device = Browser::find(state, headers, Some(&session.user)).await?.device;
    let hash = named.password_hash();
    let judge = move |_: Option<Arc<User>>, is_right: bool| {
        hash.filter(|_| is_right).map(Verdict::Pending).ok_or(wrong_password("not their password"))
    };
    passwords::check(state, named, password, Presenter { caller, device }, judge).await
}

/// `POST account/changePassword`: every session and token of the user ends, and a new session begins.
pub(crate) async fn change_password(
    extract::State(state): extract::State<Arc<State>>,
    signed_in: SignedIn,
    JsonBody(asked): JsonBody<NewPassword>,
) -> Answer {
    let refuse = |what: String| Fault::bad_request(format!("newPassword: {what}"));
    password_strength::check_length(&asked.new_password).map_err(refuse)?;
    if asked.new_password.expose() == asked.password.expose() {
        return Err(refuse("is the old one".to_owned()));
    }
    let user = &signed_in.session.user;
    if user.has_second_factor && asked.code.is_none() {
        return Err(Fault::bad_request("code: Required, because a one-time code is enrolled"));
    }
    let asked_code = second_factor::ask(&state, &signed_in).await?;
    let checked = check_own_password(&state, &signed_in, &asked.password).await;
    let wording = |fault: Fault| if user.has_second_factor { second_factor::wording(fault) } else { fault };
    let old_hash = checked.map_err(wording)?;
    let proved = match asked_code {
        Some(asked_code) => Some(asked_code.check(&state, asked.code.as_ref()).await?),
        None => None,
    };
    // Last, because it is expensive, and because before the code it would tell that the password was right.
    password_strength::check_strength(&asked.new_password, user.login.as_str()).await?.map_err(refuse)?;
    let name = NameMac::of(&state, user.login.as_str());
    let who = Who { source: Source::of(signed_in.caller.address), name, is_known: true };
    let new_hash = passwords::hash_new(&state, &asked.new_password, who).await?;
    let (session, key) = session::new_session(&state, user, signed_in.caller.address, &signed_in.headers);
    let browser = Browser::find(&state, &signed_in.headers, Some(user)).await?;
    let device = DeviceCookie::begin(&state, browser);
    let [cookie, pair] = session::cookies(&state, &key);
    let cookies = [cookie, pair, device.header(&state)];
    let replacement = Replacement { old_hash, new_hash, proved, session, device };
    to_the_end(replacement.make(state.clone(), signed_in)).await?;
    Ok(Success::new(Value::Null).with_cookies(cookies))
}

/// A new password in place of an old one.
struct Replacement {
    old_hash: Secret,
    new_hash: Secret,
    proved: Option<ProvedCode>,
    /// The only session that goes on.
    session: NewSession,
    /// By which its browser is known from now on.
    device: DeviceCookie,
}

impl Replacement {
    /// Spends the code, replaces the password and begins the session, all or nothing.
    async fn make(self, state: Arc<State>, signed_in: SignedIn) -> Result<(), Fault> {
        let Self { old_hash, new_hash, proved, session, device } = self;
        let (failed, user) = (failed(&state), session.user_id.clone());
        let mut changing = Changing::begin(&state, signed_in.author()).await?;
        // Of two who change it at once, the later one has checked a password that is not theirs any more.
        if !changing.change.has_password(&user, &old_hash).await.map_err(&failed)? {
            return Err(wrong_password("the password was changed meanwhile"));
        }
        let has_factor = changing.registry.find_user(user.as_str()).is_some_and(|user| user.has_second_factor);
        match proved {
            Some(proved) => drop(proved.spend(&mut changing.change).await.map_err(&failed)??),
            None if has_factor => return Err(wrong_password("a one-time code was enrolled meanwhile")),
            None => {}
        }
        let at_least = state.now() + changing.registry.longest_lifetime_s();
        changing.change.set_password(&user, &new_hash, at_least).await.map_err(&failed)?;
        let session = NewSession { user_epoch: changing.change.number(), ..session };
        changing.change.insert_session(&session).await.map_err(&failed)?;
        let known = device.success(&state, &signed_in.session.user, changing.change.number());
        changing.change.add_success(&known).await.map_err(&failed)?;
        let (action, target) = ("user.change-password", user.to_string());
        Ok(changing.finish(Entry { action, target, before: None, after: None }).await?)
    }
}

fn wrong_password(reason: &'static str) -> Fault {
    Fault::wrong_answer("the password is wrong", reason)
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
