//! Signing in step by step, with a name, a password, and a one-time code if the user has a second factor; and signing
//! out.

use std::sync::Arc;

use axum::extract;
use countersign_protocol::secret::Secret;
use countersign_protocol::status::Status;
use countersign_protocol::user::{Login, MAX_LOGIN_BYTES, User};
use countersign_server::admin::audit::Actor;
use countersign_server::admin::audit::Entry;
use countersign_server::admin::change::Event;
use countersign_server::admin::change_queue::Waiter;
use countersign_server::people::attempt::Presenter;
use countersign_server::people::code_attempt::CodeAttempt;
use countersign_server::people::known_device::{Browser, DeviceCookie};
use countersign_server::people::passwords::{self, Named, Verdict};
use countersign_server::state::State;
use countersign_store::{Progress, SpentCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::account::one_time_code::{self, WRONG_CODE};
use crate::account::package::{package, tenant_id};
use crate::account::sign_in_id::{self, SignIn};
use crate::api::access::{CsrfVerified, SignedIn};
use crate::api::envelope::{Answer, Success};
use crate::api::fault::{Fault, conflict_apart};
use crate::api::json_body::JsonBody;
use crate::session::{self, SessionKey, SessionState};

/// The authentication mechanisms, with the names from the guide's product family.
const PASSWORD: &str = "UP";
const ONE_TIME_CODE: &str = "OATH";
const ENDED: &str = "SessionId: unknown or ended; start over with beginAuth";
const WRONG_PASSWORD: &str = "wrong user name or password";

/// `POST auth/beginAuth`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct Beginning {
    user: String,
    /// The version that the guide's clients send. It is always `1.0`.
    #[serde(default, rename = "Version")]
    _version: Option<String>,
}

/// `POST auth/advanceAuth`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct Step {
    session_id: Secret,
    #[serde(default)]
    tenant_id: Option<String>,
    #[serde(default)]
    mechanism_id: Option<String>,
    action: Action,
    #[serde(default)]
    answer: Option<Secret>,
}

#[derive(Deserialize)]
enum Action {
    Answer,
    StartOver,
}

/// An empty body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Starts a sign-in. The response is the same whether or not a user has this name.
pub(crate) async fn begin(
    extract::State(state): extract::State<Arc<State>>,
    verified: CsrfVerified,
    JsonBody(asked): JsonBody<Beginning>,
) -> Answer {
    let login = asked.user.trim();
    if Login::parse(login).is_none() {
        return Err(Fault::bad_request(format!("User: must be 1 to {MAX_LOGIN_BYTES} bytes of printable characters")));
    }
    let user = state.registry.current().find_user_by_login(login).cloned();
    let id = sign_in_id::begin(&state, &verified.key, state.name_mac(login), user.as_ref())?;
    let prompt = ("Enter your password", "Password");
    Ok(Success::new(package(&state, id.expose(), "NewPackage", PASSWORD, prompt)))
}

/// Takes the next step of a sign-in, or starts over.
pub(crate) async fn advance(
    extract::State(state): extract::State<Arc<State>>,
    verified: CsrfVerified,
    JsonBody(step): JsonBody<Step>,
) -> Answer {
    let (sign_in, is_code_asked) = find_sign_in(&state, &verified.key, &step).await?;
    if matches!(step.action, Action::StartOver) {
        // Until a password was right, there is nothing to end, and strangers cannot cause writes.
        if is_code_asked {
            let (store, key) = (state.store.clone(), sign_in.key);
            state.write(async move { store.end_sign_in(&key).await }).await?;
        }
        return Ok(Success::new(json!({ "Summary": "StartOver" })));
    }
    let expected = if is_code_asked { ONE_TIME_CODE } else { PASSWORD };
    if step.mechanism_id.as_deref() != Some(expected) {
        return Err(Fault::bad_request(format!("MechanismId: expected {expected}")));
    }
    let answer =
        step.answer.filter(|answer| !answer.expose().is_empty()).ok_or(Fault::bad_request("Answer: missing"))?;
    let answered = Answered { state: &state, verified: &verified, sign_in, answer };
    if is_code_asked { answered.check_code().await } else { answered.check_password(step.session_id.expose()).await }
}

/// Signs out: ends the session, and revokes the tokens requested through it.
pub(crate) async fn out(
    extract::State(state): extract::State<Arc<State>>,
    SignedIn { session, caller, .. }: SignedIn,
    JsonBody(Nothing {}): JsonBody<Nothing>,
) -> Answer {
    session::end(&state, &session.id).await?;
    tracing::info!(request_id = caller.request_id(), user_id = %session.user.id, session_id = session.id, "signed out");
    let anonymous = SessionKey::new_anonymous(&state);
    Ok(Success::new(Value::Null).with_cookies(session::cookies(&state, &anonymous)))
}

/// Returns the sign-in, if this browser started it and it has not ended. The flag is true if a one-time code is
/// required now.
async fn find_sign_in(state: &State, key: &SessionKey, step: &Step) -> Result<(SignIn, bool), Fault> {
    let sign_in = sign_in_id::find(state, key, &step.session_id).ok_or(Fault::bad_request(ENDED))?;
    if step.tenant_id.as_ref().is_some_and(|tenant| *tenant != tenant_id(state)) {
        return Err(Fault::bad_request("TenantId: does not match this sign-in"));
    }
    let progress = state.store.find_sign_in(&sign_in.key.hash).await;
    match progress.map_err(|error| state.store_failed(&error))? {
        Progress::Begun => Ok((sign_in, false)),
        Progress::PasswordPassed => Ok((sign_in, true)),
        Progress::Ended => Err(Fault::bad_request(ENDED)),
    }
}

/// A challenge, and the response to it.
struct Answered<'a> {
    state: &'a State,
    verified: &'a CsrfVerified,
    sign_in: SignIn,
    answer: Secret,
}

impl Answered<'_> {
    async fn check_password(self, session_id: &str) -> Answer {
        let Self { state, verified: CsrfVerified { caller, headers, .. }, sign_in, answer } = &self;
        let named = Named::of_user(state, sign_in.name, sign_in.user_id.as_ref()).await?;
        let device = Browser::find(state, headers, named.user.as_deref()).await?.device;
        let judge = |user: Option<Arc<User>>, is_right| {
            let user = user.filter(|user| is_right && user.status == Status::Active);
            let wrong = Fault::wrong_answer(WRONG_PASSWORD, "unknown or disabled user, or wrong password");
            // A second factor may follow. The attempt counts as a success once a session exists.
            user.map(Verdict::Pending).ok_or(wrong)
        };
        let user = passwords::check(state, named, answer, Presenter { caller, device }, judge).await?;
        if one_time_code::find(state, &user.id).await?.is_none() {
            return self.complete(&user, None).await?.ok_or(Fault::bad_request(ENDED));
        }
        let (store, key) = (state.store.clone(), sign_in.key);
        state.write(async move { store.pass_password(&key).await }).await?;
        let prompt = ("Enter the code of your authenticator app", "Authenticator app");
        Ok(Success::new(package(state, session_id, "StartNextChallenge", ONE_TIME_CODE, prompt)))
    }

    async fn check_code(self) -> Answer {
        let Self { state, verified, sign_in, answer } = &self;
        let wrong = |reason| Fault::wrong_answer(WRONG_CODE, reason);
        let user = self.find_user().ok_or(wrong("the user was deleted or disabled"))?;
        let attempt = CodeAttempt::begin(state, sign_in.name, &user.id, &verified.caller).await?;
        let factor = one_time_code::find(state, &user.id).await?.ok_or(wrong("the second factor was removed"))?;
        let Some(step) = one_time_code::find_step(state, &factor, answer)? else {
            attempt.fail().await?;
            return Err(wrong("wrong or expired code"));
        };
        match self.complete(&user, Some(SpentCode { factor_id: factor.id, step })).await? {
            Some(success) => Ok(success),
            None => {
                attempt.fail().await?;
                Err(wrong("the code was already used, or the sign-in has ended"))
            }
        }
    }

    fn find_user(&self) -> Option<Arc<User>> {
        let registry = self.state.registry.current();
        let user = registry.find_user(self.sign_in.user_id.as_ref()?.as_str())?;
        (user.status == Status::Active).then(|| user.clone())
    }

    /// Completes a sign-in: spends the sign-in and the code, and creates a session with a new ID. Returns `None` if
    /// either was already spent.
    async fn complete(&self, user: &User, code: Option<SpentCode>) -> Result<Option<Success>, Fault> {
        let Self { state, verified, sign_in, .. } = self;
        let (new, key) = session::new_session(state, user, verified.caller.address, &verified.headers);
        let session_id = new.id.clone();
        let is_by_code = code.is_some();
        let entry = Entry {
            action: "user.sign-in",
            target: user.id.to_string(),
            before: None,
            after: Some(json!({ "session": session_id, "second_factor": is_by_code })),
        };
        let actor = Actor::new(user.id.as_str(), &verified.caller);
        let device = DeviceCookie::renew(state, Browser::find(state, &verified.headers, Some(user)).await?);
        let success = device.success(state, user, user.epoch);
        let (state_of_task, sign_in) = (State::clone(state), sign_in.key);
        let turn = state.changing.wait(Waiter::Person).await?;
        let completing = async move {
            let mut event = Event::begin(&state_of_task, turn).await?;
            let is_first = event.change.complete_sign_in(&sign_in, code.as_ref(), &new).await?;
            if is_first {
                event.change.add_success(&success).await?;
                event.finish(&state_of_task, &actor, entry).await?;
            }
            Ok(is_first)
        };
        if !state.write(conflict_apart(Box::pin(completing))).await?? {
            return Ok(None);
        }
        state.count_right_password();
        if let SessionState::SignedIn(before) = &verified.session_state {
            session::end(state, &before.id).await?;
        }
        let (request_id, address) = (verified.caller.request_id(), verified.caller.address);
        tracing::info!(request_id, %address, user_id = %user.id, session_id, "signed in");
        let login = user.login.as_str();
        let result =
            json!({ "Summary": "LoginSuccess", "User": login, "UserId": user.id.as_str(), "DisplayName": login });
        let [session, pair] = session::cookies(state, &key);
        Ok(Some(Success::new(result).with_cookies([session, pair, device.header(state)])))
    }
}
