//! Signing in, in steps: a name, a password, a one-time code where one is enrolled; and signing out.

use std::sync::Arc;

use axum::extract;
use countersign_protocol::client::Status;
use countersign_protocol::jose::base64url;
use countersign_protocol::secret::Secret;
use countersign_protocol::user::{Login, MAX_LOGIN_BYTES, User};
use countersign_store::{SignIn, SpentCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::audit::Actor;
use crate::admin::change::{Entry, Event};
use crate::attempt::CountedAttempt;
use crate::demo::access::{Begun, SignedIn};
use crate::demo::envelope::{Answer, Fault, Success};
use crate::demo::json_body::JsonBody;
use crate::demo::second_factor::{self, WRONG_CODE};
use crate::limits::SIGN_IN_S;
use crate::pages::session::{self, SessionKey, Standing};
use crate::passwords::{self, Checked, Named};
use crate::state::State;

/// The mechanisms, by the names that the guide's family of products has for them.
const PASSWORD: &str = "UP";
const ONE_TIME_CODE: &str = "OATH";
const ENDED: &str = "SessionId: unknown or ended; start over with beginAuth";
const WRONG_PASSWORD: &str = "the user name or the password is wrong";

/// `POST auth/beginAuth`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct Beginning {
    user: String,
    /// The guide's clients send `1.0`; there is no other.
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

/// A body that has nothing in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Begins a sign-in. Whoever has this name, and whether anybody has, the package is the same.
pub(crate) async fn begin(
    extract::State(state): extract::State<Arc<State>>,
    begun: Begun,
    JsonBody(asked): JsonBody<Beginning>,
) -> Answer {
    let login = asked.user.trim();
    if Login::parse(login).is_none() {
        return Err(Fault::bad_request(format!("User: must have 1 to {MAX_LOGIN_BYTES} bytes, all printable")));
    }
    let now = state.now();
    state.guessing.begin_sign_in(begun.caller.address, now)?;
    let named = Named::find(&state, login).await?;
    let id = Secret::new(base64url(&state.entropy.bytes::<32>()));
    let sign_in = SignIn {
        key_hash: id.hash(),
        session_hash: begun.key.hash(),
        name_mac: named.mac.as_bytes().to_vec(),
        user_id: named.stored.map(|stored| stored.user_id),
        password_passed: false,
        expires_at: now + SIGN_IN_S,
    };
    let store = state.store.clone();
    state.write(async move { store.insert_sign_in(&sign_in).await }).await?;
    let prompt = ("Enter your password", "Password");
    Ok(Success::new(package(&state, id.expose(), "NewPackage", PASSWORD, prompt)))
}

/// Goes one step on, or starts over.
pub(crate) async fn advance(
    extract::State(state): extract::State<Arc<State>>,
    begun: Begun,
    JsonBody(step): JsonBody<Step>,
) -> Answer {
    let sign_in = find_sign_in(&state, &begun.key, &step).await?;
    if matches!(step.action, Action::StartOver) {
        let (store, key) = (state.store.clone(), sign_in.key_hash);
        state.write(async move { store.end_sign_in(&key).await }).await?;
        return Ok(Success::new(json!({ "Summary": "StartOver" })));
    }
    let expected = if sign_in.password_passed { ONE_TIME_CODE } else { PASSWORD };
    if step.mechanism_id.as_deref() != Some(expected) {
        return Err(Fault::bad_request(format!("MechanismId: {expected} is asked now")));
    }
    let answer =
        step.answer.filter(|answer| !answer.expose().is_empty()).ok_or(Fault::bad_request("Answer: missing"))?;
    let attempt = Attempt { state: &state, begun: &begun, sign_in, answer };
    if attempt.sign_in.password_passed {
        attempt.check_code().await
    } else {
        attempt.check_password(step.session_id.expose()).await
    }
}

/// Signs out: the session ends, and with it the tokens asked through it.
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

/// The sign-in that is named, if this browser began it and it has not ended.
async fn find_sign_in(state: &State, key: &SessionKey, step: &Step) -> Result<SignIn, Fault> {
    let found = state.store.find_sign_in(&step.session_id.hash()).await;
    let found = found.map_err(|error| state.store_failed(&error))?;
    let ours = found.filter(|found| found.session_hash.matches(&key.hash()) && state.now() < found.expires_at);
    let sign_in = ours.ok_or(Fault::bad_request(ENDED))?;
    match &step.tenant_id {
        Some(tenant) if *tenant != tenant_id(state) => Err(Fault::bad_request("TenantId: not the one of this sign-in")),
        _ => Ok(sign_in),
    }
}

/// One answer to one challenge.
struct Attempt<'a> {
    state: &'a State,
    begun: &'a Begun,
    sign_in: SignIn,
    answer: Secret,
}

impl Attempt<'_> {
    async fn check_password(self, session_id: &str) -> Answer {
        let Self { state, begun: Begun { caller, .. }, sign_in, answer } = &self;
        let named = Named::of_sign_in(state, sign_in).await?;
        let Checked { holds, attempt, .. } = passwords::check(state, named, answer, caller).await?;
        let user = self.find_user().filter(|_| holds);
        let user = user.ok_or(Fault::wrong_answer(WRONG_PASSWORD, "no such active user, or not their password"))?;
        if second_factor::find(state, &user.id).await?.is_none() {
            attempt.succeed();
            return self.complete(&user, None).await;
        }
        attempt.pass();
        let (store, key) = (state.store.clone(), sign_in.key_hash);
        state.write(async move { store.pass_password(&key).await }).await?;
        let prompt = ("Enter the code of your authenticator app", "Authenticator app");
        Ok(Success::new(package(state, session_id, "StartNextChallenge", ONE_TIME_CODE, prompt)))
    }

    async fn check_code(self) -> Answer {
        let Self { state, begun, sign_in, answer } = &self;
        let name = passwords::name_of(sign_in)?;
        let attempt = CountedAttempt::begin(state, name, sign_in.user_id.clone(), &begun.caller)?;
        let wrong = |reason| Fault::wrong_answer(WRONG_CODE, reason);
        let user = self.find_user().ok_or(wrong("the user is gone or disabled"))?;
        let factor = second_factor::find(state, &user.id).await?.ok_or(wrong("the second factor is gone"))?;
        let step = second_factor::find_step(state, &factor, answer)?.ok_or(wrong("not a code of now"))?;
        let spent = SpentCode { factor_id: factor.id, step };
        let answer = self.complete(&user, Some(spent)).await?;
        attempt.succeed();
        Ok(answer)
    }

    fn find_user(&self) -> Option<Arc<User>> {
        let registry = self.state.registry.current();
        let user = registry.find_user(self.sign_in.user_id.as_ref()?.as_str())?;
        (user.status == Status::Active).then(|| user.clone())
    }

    /// All was right: spends the sign-in and the code, and makes a session of another id.
    async fn complete(&self, user: &User, code: Option<SpentCode>) -> Answer {
        let Self { state, begun, sign_in, .. } = self;
        let (new, key) = session::new_session(state, user, begun.caller.address, &begun.headers);
        let session_id = new.id.clone();
        let is_by_code = code.is_some();
        let entry = Entry {
            action: "user.sign-in",
            target: user.id.to_string(),
            before: None,
            after: Some(json!({ "session": session_id, "second_factor": is_by_code })),
        };
        let actor = Actor::new(user.id.as_str(), &begun.caller);
        let (state_of_task, sign_in) = (State::clone(state), sign_in.key_hash);
        let completing = async move {
            let mut event = Event::begin(&state_of_task).await?;
            let is_first = event.change.complete_sign_in(&sign_in, code.as_ref(), &new).await?;
            if is_first {
                event.finish(&state_of_task, &actor, entry).await?;
            }
            Ok(is_first)
        };
        let completed = state.write(completing).await?;
        if !completed {
            let used = "the code was used before, or the sign-in has ended";
            return Err(if is_by_code { Fault::wrong_answer(WRONG_CODE, used) } else { Fault::bad_request(ENDED) });
        }
        if let Standing::SignedIn(before) = &begun.standing {
            session::end(state, &before.id).await?;
        }
        let (request_id, address) = (begun.caller.request_id(), begun.caller.address);
        tracing::info!(request_id, %address, user_id = %user.id, session_id, "signed in");
        let login = user.login.as_str();
        let result =
            json!({ "Summary": "LoginSuccess", "User": login, "UserId": user.id.as_str(), "DisplayName": login });
        Ok(Success::new(result).with_cookies(session::cookies(state, &key)))
    }
}

/// What a browser needs for the next challenge (the guide's authentication package).
fn package(state: &State, session_id: &str, summary: &str, mechanism: &str, prompt: (&str, &str)) -> Value {
    let (chosen, select) = prompt;
    let mechanism = json!({
        "AnswerType": "Text",
        "Name": mechanism,
        "PromptMechChosen": chosen,
        "PromptSelectMech": select,
        "MechanismId": mechanism,
        "Enrolled": true,
    });
    json!({
        "SessionId": session_id,
        "TenantId": tenant_id(state),
        "Challenges": [{ "Mechanisms": [mechanism] }],
        "Summary": summary,
    })
}

/// This server is the one tenant: its host and port.
pub(crate) fn tenant_id(state: &State) -> String {
    state.issuer.as_str().split_once("://").map_or_else(String::new, |(_, authority)| authority.to_owned())
}
