//! One-time codes of an authenticator app (RFC 6238): enrolled by a code, each code good once.

use std::sync::Arc;

use axum::extract;
use countersign_protocol::jose::{base64url, from_base64url};
use countersign_protocol::revocation::Revoked;
use countersign_protocol::secret::Secret;
use countersign_protocol::totp::{self, Enrolment, SEED_BYTES};
use countersign_protocol::user::UserId;
use countersign_store::{NewSecondFactor, SpentCode, StoreError, StoredSecondFactor};
use qrcode::{Color, QrCode};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::demo::access::SignedIn;
use crate::demo::account::check_own_password;
use crate::demo::auth::tenant_id;
use crate::demo::envelope::{Answer, Fault, Success};
use crate::demo::json_body::JsonBody;
use crate::state::State;

const KIND: &str = "totp";
/// What stored seeds are sealed under.
const SEED: &str = "second factor";
/// What a seed is sealed under while its owner has not shown a code of it.
const ENROLMENT: &str = "enrolment";
/// Seconds until an enrolment that was begun must be confirmed.
const ENROLMENT_S: i64 = 600;
/// What is said where a password and a code are asked for, whichever is wrong.
const WRONG_PASSWORD_OR_CODE: &str = "the password is wrong, or the code is: wrong, too old, or used before";
/// What is said to who has one.
const ALREADY_ENROLLED: &str = "enrolment: a one-time code is enrolled; remove it first";
/// What is said of a code that is not accepted, whatever is wrong with it.
pub(crate) const WRONG_CODE: &str = "the code is wrong, too old, or was used before";

/// A user's second factor.
pub(crate) async fn find(state: &State, user: &UserId) -> Result<Option<StoredSecondFactor>, Fault> {
    let found = state.store.find_second_factor(user, KIND).await;
    Ok(found.map_err(|error| state.store_failed(&error))?)
}

/// The step of a code, if it is one of now and neither it nor a later one was used.
pub(crate) fn find_step(state: &State, factor: &StoredSecondFactor, code: &Secret) -> Result<Option<i64>, Fault> {
    let seed = state.sealing.open(SEED, &factor.id, &factor.sealed_seed)?;
    Ok(totp::find_step(&seed, without_spaces(code).expose(), state.now()).filter(|step| *step > factor.last_step))
}

/// Apps show a code in two groups, and so people copy it.
fn without_spaces(code: &Secret) -> Secret {
    Secret::new(code.expose().replace(' ', ""))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Begin {
    password: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirm {
    enrolment: String,
    code: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remove {
    password: Secret,
    code: Secret,
}

/// `POST account/beginSecondFactor`: a new seed, as a text and as a QR code. It counts once a code of it is shown.
///
/// Until then nothing is stored: the page keeps the seed, sealed for this session and its next ten minutes alone.
pub(crate) async fn begin(
    extract::State(state): extract::State<Arc<State>>,
    signed_in: SignedIn,
    JsonBody(asked): JsonBody<Begin>,
) -> Answer {
    check_own_password(&state, &signed_in, &asked.password).await?;
    let user = &signed_in.session.user;
    if find(&state, &user.id).await?.is_some() {
        return Err(Fault::bad_request(ALREADY_ENROLLED));
    }
    let seed = Zeroizing::new(state.entropy.bytes::<SEED_BYTES>());
    let dated = Zeroizing::new([&state.now().to_be_bytes(), seed.as_slice()].concat());
    let sealed = state.sealing.seal(ENROLMENT, &signed_in.session.id, &dated, state.entropy.bytes())?;
    let enrolment = Enrolment::new(seed.as_slice(), &tenant_id(&state), user.login.as_str());
    let enrolment = enrolment.ok_or_else(|| Fault::internal("the seed makes no enrolment"))?;
    let uri = enrolment.uri().ok_or_else(|| Fault::internal("the enrolment has no address"))?;
    let qr = draw(&uri)?;
    let secret = enrolment.secret();
    Ok(Success::new(json!({ "enrolment": base64url(&sealed), "secret": secret, "uri": uri, "qr": qr })))
}

/// `POST account/confirmSecondFactor`: a code of the new seed was shown; from now on signing in asks for one.
///
/// Once: what it confirms is dead afterwards, or a seed that was removed would come back, and with it its codes.
pub(crate) async fn confirm(
    extract::State(state): extract::State<Arc<State>>,
    signed_in: SignedIn,
    JsonBody(asked): JsonBody<Confirm>,
) -> Answer {
    let session = &signed_in.session;
    let sealed = from_base64url(&asked.enrolment);
    let opened = sealed.as_ref().and_then(|sealed| state.sealing.open(ENROLMENT, &session.id, sealed).ok());
    let (sealed, dated) =
        sealed.zip(opened).ok_or(Fault::bad_request("enrolment: not one of this session; begin again"))?;
    let (begun_at, seed) = dated.split_first_chunk().ok_or_else(|| Fault::internal("an enrolment is too short"))?;
    let expires_at = i64::from_be_bytes(*begun_at).saturating_add(ENROLMENT_S);
    if state.now() > expires_at {
        return Err(Fault::bad_request("enrolment: begun more than ten minutes ago; begin again"));
    }
    let step = totp::find_step(seed, without_spaces(&asked.code).expose(), state.now());
    let step = step.ok_or(Fault::wrong_answer(WRONG_CODE, "not a code of the new seed"))?;
    let id = format!("fac_{}", base64url(&state.entropy.bytes::<12>()));
    let sealed_seed = state.sealing.seal(SEED, &id, seed, state.entropy.bytes())?;
    let (user_id, now, store) = (session.user.id.clone(), state.now(), state.store.clone());
    let new = NewSecondFactor { id, user_id, kind: KIND, sealed_seed, created_at: now, last_step: step };
    let spent = Revoked::Token(format!("enrolment.{}", base64url(&sealed)));
    let added = state.write(async move {
        let mut change = store.begin_change(now).await?;
        if !change.revoke(&spent, expires_at).await? {
            return Ok(Err("enrolment: was confirmed before; begin again"));
        }
        match change.insert_second_factor(&new).await {
            Err(StoreError::Taken(_)) => Ok(Err(ALREADY_ENROLLED)),
            inserted => {
                inserted?;
                change.commit().await.map(Ok)
            }
        }
    });
    added.await?.map_err(Fault::bad_request)?;
    state.follow().await?;
    tracing::info!(request_id = signed_in.caller.request_id(), user_id = %session.user.id, "second factor enrolled");
    Ok(Success::new(Value::Null))
}

/// `POST account/removeSecondFactor`: takes the password and a code, so that a session alone cannot; it never says which
/// of them was wrong.
pub(crate) async fn remove(
    extract::State(state): extract::State<Arc<State>>,
    signed_in: SignedIn,
    JsonBody(asked): JsonBody<Remove>,
) -> Answer {
    let checked = check_own_password(&state, &signed_in, &asked.password).await;
    checked.map_err(|fault| fault.wording_wrong_answer(WRONG_PASSWORD_OR_CODE))?;
    let (user, address) = (&signed_in.session.user, signed_in.caller.address);
    let factor =
        find(&state, &user.id).await?.ok_or(Fault::bad_request("code: is of no second factor: none is enrolled"))?;
    let attempt = state.guessing.begin_password(user.login.as_str(), address, state.now())?;
    let step = find_step(&state, &factor, &asked.code)?;
    let step = step.ok_or(Fault::wrong_answer(WRONG_PASSWORD_OR_CODE, "not a code of now"))?;
    let code = SpentCode { factor_id: factor.id, step };
    let (store, user_id, now) = (state.store.clone(), user.id.clone(), state.now());
    let removed = state.write(async move {
        let mut change = store.begin_change(now).await?;
        let is_first = change.spend_code(&code).await?;
        if is_first {
            change.delete_second_factors(&user_id).await?;
            change.commit().await?;
        }
        Ok(is_first)
    });
    if !removed.await? {
        return Err(Fault::wrong_answer(WRONG_PASSWORD_OR_CODE, "the code was used before"));
    }
    state.guessing.succeed(attempt, state.now());
    state.follow().await?;
    tracing::info!(request_id = signed_in.caller.request_id(), user_id = %user.id, "second factor removed");
    Ok(Success::new(Value::Null))
}

/// A QR code as one SVG path of its dark modules, with the quiet zone that the standard asks for.
fn draw(text: &str) -> Result<Value, Fault> {
    const QUIET: usize = 4;
    let code = QrCode::new(text).map_err(|error| Fault::internal(error.to_string()))?;
    let width = code.width();
    let colors = code.to_colors();
    let dark = colors.iter().enumerate().filter(|(_, color)| **color == Color::Dark);
    let module = |(at, _): (usize, &Color)| format!("M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET);
    let path: String = dark.map(module).collect();
    Ok(json!({ "size": width + 2 * QUIET, "path": path }))
}
