//! The second factor, one-time codes of an authenticator app (RFC 6238): enrols it with a first code, and removes it.

use std::sync::Arc;

use axum::extract;
use countersign_protocol::ids::UserId;
use countersign_protocol::jose::{base64url, from_base64url};
use countersign_protocol::secret::Secret;
use countersign_protocol::totp::{self, Enrolment, SEED_BYTES};
use countersign_server::admin::audit::Entry;
use countersign_server::admin::change::{Author, Changing};
use countersign_server::keys::sealing::SECOND_FACTOR;
use countersign_server::people::known_device::{Browser, DeviceCookie};
use countersign_server::state::State;
use countersign_store::{NewSecondFactor, StoreError};
use qrcode::{Color, QrCode};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::account::one_time_code::{KIND, ProvedCode, WRONG_CODE, ask, find, without_spaces, wording};
use crate::account::own_password::check_own_password;
use crate::account::package::tenant_id;
use crate::api::access::SignedIn;
use crate::api::envelope::{Answer, Success};
use crate::api::fault::{Fault, failed, to_the_end};
use crate::api::json_body::JsonBody;
use crate::session::Session;

/// The label for sealing a seed until its owner has confirmed it with a code.
const ENROLMENT: &str = "enrolment";
/// Seconds within which an enrolment must be confirmed.
const ENROLMENT_S: i64 = 600;
/// The message for a user who already has a second factor.
const ALREADY_ENROLLED: &str = "enrolment: a second factor already exists; remove it first";

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

/// `POST account/beginSecondFactor`: returns a new seed, as text and as a QR code. It takes effect once a code confirms
/// it.
///
/// Until then, nothing is stored. The page keeps the seed, sealed for this session for ten minutes.
pub(crate) async fn begin(
    extract::State(state): extract::State<Arc<State>>,
    signed_in: SignedIn,
    JsonBody(asked): JsonBody<Begin>,
) -> Answer {
    let user = &signed_in.session.user;
    if find(&state, &user.id).await?.is_some() {
        return Err(Fault::bad_request(ALREADY_ENROLLED));
    }
    check_own_password(&state, &signed_in, &asked.password).await?;
    let seed = Zeroizing::new(state.entropy.bytes::<SEED_BYTES>());
    let dated = Zeroizing::new([&state.now().to_be_bytes(), seed.as_slice()].concat());
    let sealed =
        state.sealing_keys().key().seal(ENROLMENT, &sealed_for(&signed_in.session), &dated, state.entropy.bytes())?;
    let enrolment = Enrolment::new(seed.as_slice(), &tenant_id(&state), user.login.as_str());
    let enrolment = enrolment.ok_or_else(|| Fault::internal("the seed cannot be enrolled"))?;
    let uri = enrolment.uri().ok_or_else(|| Fault::internal("the enrolment has no URI"))?;
    let qr = draw(&uri)?;
    let secret = enrolment.secret();
    Ok(Success::new(json!({ "enrolment": base64url(&sealed), "secret": secret, "uri": uri, "qr": qr })))
}

/// The context that an enrolment is sealed for: this session and the user's epoch. Confirming another enrolment raises
/// the epoch.
fn sealed_for(session: &Session) -> String {
    format!("{} {}", session.id, session.user.epoch)
}

/// `POST account/confirmSecondFactor`: enables the second factor after checking a code of the new seed.
///
/// An enrolment can be confirmed only once. Otherwise, it could bring back a removed seed, and with it all its codes.
pub(crate) async fn confirm(
    extract::State(state): extract::State<Arc<State>>,
    signed_in: SignedIn,
    JsonBody(asked): JsonBody<Confirm>,
) -> Answer {
    let session = &signed_in.session;
    let sealed = from_base64url(&asked.enrolment);
    let opened =
        sealed.as_ref().and_then(|sealed| state.sealing_keys().open(ENROLMENT, &sealed_for(session), sealed).ok());
    let dated = opened.ok_or(Fault::bad_request("enrolment: does not belong to this session; start over"))?;
    let (begun_at, seed) = dated.split_first_chunk().ok_or_else(|| Fault::internal("the enrolment is too short"))?;
    let expires_at = i64::from_be_bytes(*begun_at).saturating_add(ENROLMENT_S);
    if state.now() > expires_at {
        return Err(Fault::bad_request("enrolment: started more than ten minutes ago; start over"));
    }
    let step = totp::find_step(seed, without_spaces(&asked.code).expose(), state.now());
    let step = step.ok_or(Fault::wrong_answer(WRONG_CODE, "wrong or expired code for the new seed"))?;
    let id = format!("fac_{}", base64url(&state.entropy.bytes::<12>()));
    let new = NewFactor { id, seed: Zeroizing::new(seed.to_vec()), step };
    let browser = Browser::find(&state, &signed_in.headers, Some(&session.user)).await?;
    let device = DeviceCookie::begin(&state, browser);
    let cookie = device.header(&state);
    to_the_end(enrol(state.clone(), signed_in, new, device)).await?;
    Ok(Success::new(Value::Null).with_cookies([cookie]))
}

/// A confirmed second factor that is not stored yet.
struct NewFactor {
    id: String,
    seed: Zeroizing<Vec<u8>>,
    step: i64,
}

/// Adds the factor. Ends the user's other sessions and revokes their tokens and refresh tokens, because they were
/// issued for a password alone.
async fn enrol(
    state: Arc<State>,
    signed_in: SignedIn,
    NewFactor { id, seed, step }: NewFactor,
    device: DeviceCookie,
) -> Result<(), Fault> {
    let failed = failed(&state);
    let mut changing = Changing::begin(&state, signed_in.author()).await?;
    let Session { id: session_id, user, .. } = &signed_in.session;
    // Each confirmed enrolment raises the epoch. Of two concurrent confirmations, the later one is refused, even if the
    // factor was removed in the meantime.
    if changing.registry.find_user(user.id.as_str()).is_none_or(|now| now.epoch != user.epoch) {
        return Err(Fault::bad_request("enrolment: was already confirmed; start over"));
    }
    // Sealed here and not before the change began, because the sealing key may have been replaced since.
    let sealed_seed = state.sealing_keys().key().seal(SECOND_FACTOR, &id, &seed, state.entropy.bytes())?;
    let user_id = user.id.clone();
    let new = NewSecondFactor { id, user_id, kind: KIND, sealed_seed, created_at: state.now(), last_step: step };
    match changing.change.insert_second_factor(&new).await {
        Err(StoreError::Taken(_)) => return Err(Fault::bad_request(ALREADY_ENROLLED)),
        inserted => inserted.map_err(&failed)?,
    }
    let at_least = state.now() + changing.registry.longest_lifetime_s();
    changing.change.end_user_elsewhere(&new.user_id, session_id, at_least).await.map_err(&failed)?;
    let known = device.success(&state, user, changing.change.number());
    changing.change.add_success(&known).await.map_err(&failed)?;
    let after = json!({ "id": new.id, "kind": new.kind });
    let (action, target) = ("user.enrol-second-factor", new.user_id.to_string());
    Ok(changing.finish(Entry { action, target, before: None, after: Some(after) }).await?)
}

/// `POST account/removeSecondFactor`: requires the password and a code, so that a session alone is not enough. The
/// message does not reveal which of them was wrong.
pub(crate) async fn remove(
    extract::State(state): extract::State<Arc<State>>,
    signed_in: SignedIn,
    JsonBody(asked): JsonBody<Remove>,
) -> Answer {
    let asked_code = ask(&state, &signed_in).await?.ok_or(Fault::bad_request("code: the user has no second factor"))?;
    check_own_password(&state, &signed_in, &asked.password).await.map_err(wording)?;
    let proved = asked_code.check(&state, Some(&asked.code)).await?;
    let user_id = signed_in.session.user.id.clone();
    to_the_end(take_away(state.clone(), signed_in.author(), user_id, proved)).await?;
    Ok(Success::new(Value::Null))
}

/// Spends the code and removes the factor in one transaction.
async fn take_away(state: Arc<State>, author: Author, user_id: UserId, proved: ProvedCode) -> Result<(), Fault> {
    let failed = failed(&state);
    let mut changing = Changing::begin(&state, author).await?;
    let factor_id = proved.spend(&mut changing.change).await.map_err(&failed)??;
    changing.change.delete_second_factors(&user_id).await.map_err(&failed)?;
    let before = Some(json!({ "id": factor_id, "kind": KIND }));
    let (action, target) = ("user.remove-second-factor", user_id.to_string());
    Ok(changing.finish(Entry { action, target, before, after: None }).await?)
}

/// Renders a QR code as an SVG path of its dark modules, with the quiet zone that the standard requires.
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
