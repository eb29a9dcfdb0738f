//! `POST account/changePassword`: ends all sessions of the user, revokes their tokens, and starts a new session.

use std::sync::Arc;

use axum::extract;
use countersign_protocol::secret::Secret;
use countersign_server::admin::audit::Entry;
use countersign_server::admin::change::Changing;
use countersign_server::http::source::Source;
use countersign_server::people::known_device::{Browser, DeviceCookie};
use countersign_server::people::password_queue::Who;
use countersign_server::people::{password_strength, passwords};
use countersign_server::state::State;
use countersign_store::NewSession;
use serde::Deserialize;
use serde_json::Value;

use crate::account::one_time_code::{self, ProvedCode};
use crate::account::own_password::{check_own_password, wrong_password};
use crate::api::access::SignedIn;
use crate::api::envelope::{Answer, Success};
use crate::api::fault::{Fault, failed, to_the_end};
use crate::api::json_body::JsonBody;
use crate::session;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewPassword {
    password: Secret,
    #[serde(alias = "new_password")]
    new_password: Secret,
    /// Required if the user has a second factor.
    #[serde(default)]
    code: Option<Secret>,
}

/// `POST account/changePassword`: ends all sessions of the user, revokes their tokens, and starts a new session.
pub(crate) async fn change_password(
    extract::State(state): extract::State<Arc<State>>,
    signed_in: SignedIn,
    JsonBody(asked): JsonBody<NewPassword>,
) -> Answer {
    let refuse = |what: String| Fault::bad_request(format!("newPassword: {what}"));
    password_strength::check_length(&asked.new_password).map_err(refuse)?;
    if asked.new_password.expose() == asked.password.expose() {
        return Err(refuse("must differ from the current password".to_owned()));
    }
    let user = &signed_in.session.user;
    if user.has_second_factor && asked.code.is_none() {
        return Err(Fault::bad_request("code: Required, because the user has a second factor"));
    }
    let asked_code = one_time_code::ask(&state, &signed_in).await?;
    let checked = check_own_password(&state, &signed_in, &asked.password).await;
    let wording = |fault: Fault| if user.has_second_factor { one_time_code::wording(fault) } else { fault };
    let old_hash = checked.map_err(wording)?;
    let proved = match asked_code {
        Some(asked_code) => Some(asked_code.check(&state, asked.code.as_ref()).await?),
        None => None,
    };
    // Last, because it is expensive, and because before the code check it would reveal that the password was right.
    password_strength::check_strength(&asked.new_password, user.login.as_str()).await?.map_err(refuse)?;
    let name = state.name_mac(user.login.as_str());
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

/// A change of password.
struct Replacement {
    old_hash: Secret,
    new_hash: Secret,
    proved: Option<ProvedCode>,
    /// The only session that stays.
    session: NewSession,
    /// The cookie that identifies the browser from now on.
    device: DeviceCookie,
}

impl Replacement {
    /// Spends the code, replaces the password and starts the session in one transaction.
    async fn make(self, state: Arc<State>, signed_in: SignedIn) -> Result<(), Fault> {
        let Self { old_hash, new_hash, proved, session, device } = self;
        let (failed, user) = (failed(&state), session.user_id.clone());
        let mut changing = Changing::begin(&state, signed_in.author()).await?;
        // If two requests change it at once, the later one has checked an outdated password.
        if !changing.change.has_password(&user, &old_hash).await.map_err(&failed)? {
            return Err(wrong_password("the password was changed in the meantime"));
        }
        let has_factor = changing.registry.find_user(user.as_str()).is_some_and(|user| user.has_second_factor);
        match proved {
            Some(proved) => drop(proved.spend(&mut changing.change).await.map_err(&failed)??),
            None if has_factor => return Err(wrong_password("a second factor was added in the meantime")),
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
