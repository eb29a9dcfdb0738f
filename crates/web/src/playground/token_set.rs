//! `POST tokenSet`: sends the previewed request. The session remembers the token, to revoke it at sign-out.

use std::sync::Arc;

use axum::extract;
use axum::extract::Extension;
use countersign_client::{ClientError, TokenResponse};
use countersign_protocol::claims::Revision;
use countersign_protocol::jose::jws::UnverifiedJwt;
use countersign_protocol::revocation::Revoked;
use countersign_protocol::secret::Secret;
use countersign_server::state::State;
use countersign_store::SessionToken;
use serde_json::{Value, json};

use crate::api::access::SignedIn;
use crate::api::envelope::{Answer, Success};
use crate::api::fault::Fault;
use crate::api::json_body::JsonBody;
use crate::api::timing::Timing;
use crate::playground::preview::{Ask, prepare};
use crate::playground::settings::Settings;
use crate::playground::transport::{Inner, OwnServer};
use crate::session::Session;

/// `POST tokenSet`
pub(crate) async fn token_set(
    extract::State(state): extract::State<Arc<State>>,
    Extension(inner): Extension<Inner>,
    SignedIn { session, caller, .. }: SignedIn,
    JsonBody(ask): JsonBody<Ask>,
) -> Answer {
    let settings = Settings::load(&state)?;
    let (client, prepared) = prepare(&state.issuer, &settings, &ask, OwnServer::new(&inner, &caller))?;
    let (response, timing) = timed(&state, "token", client.request_token(prepared)).await?;
    answer(&state, &session, &response, timing).await
}

/// Returns a token set, after storing it in the session.
pub(crate) async fn answer(state: &State, session: &Session, response: &TokenResponse, timing: Timing) -> Answer {
    keep(state, session, response).await?;
    Ok(Success::new(to_json(response)).with_timing(timing))
}

/// Waits for an endpoint, and returns its duration and status.
pub(crate) async fn timed<T>(
    state: &State,
    name: &'static str,
    asking: impl Future<Output = Result<T, ClientError>>,
) -> Result<(T, Timing), Fault> {
    let began_us = state.clock.monotonic_us();
    let asked = asking.await;
    let status = match &asked {
        Ok(_) => Some(200),
        Err(error) => error.status(),
    };
    let timing = Timing { name, took_us: state.clock.monotonic_us() - began_us, status };
    match asked {
        Ok(answer) => Ok((answer, timing)),
        Err(error) => Err(Fault::from(error).with_timing(timing)),
    }
}

/// Adds the token to its session. If the session has ended in the meantime, revokes the token, because it must not
/// outlive the sign-out.
async fn keep(state: &State, session: &Session, response: &TokenResponse) -> Result<(), Fault> {
    let token = describe(response).ok_or_else(|| Fault::internal("the token was not issued by this server"))?;
    let (store, id, kept) = (state.store.clone(), session.id.clone(), token.clone());
    if state.write(async move { store.keep_session_token(&id, &kept).await }).await? {
        return Ok(());
    }
    let revoked = token.family.map_or(Revoked::Token(token.token_id), Revoked::Family);
    let (store, ended, now, until) = (state.store.clone(), revoked.clone(), state.now(), token.expires_at);
    let ending = async move {
        match &ended {
            // Includes its refresh tokens, which revoking the access token alone would leave valid.
            Revoked::Family(family) => store.end_family(family, now, until).await.map(drop),
            token => store.revoke(token, until).await,
        }
    };
    state.write(ending).await?;
    state.registry.insert_revoked(revoked, until);
    Err(Fault::sign_in_needed())
}

/// Returns what a session stores about a token that this server has just issued.
fn describe(response: &TokenResponse) -> Option<SessionToken> {
    let jwt = UnverifiedJwt::parse(response.access_token.expose()).ok()?;
    let text = |name| jwt.claims().get(name).and_then(Value::as_str);
    Some(SessionToken {
        token_id: text("jti")?.to_owned(),
        family: Revision::parse(text("rev")?)?.family,
        expires_at: jwt.claims().get("exp")?.as_i64()?,
    })
}

/// The success body of the token endpoint, unchanged.
fn to_json(response: &TokenResponse) -> Value {
    let TokenResponse { access_token, token_type, expires_in, scope, refresh_token, .. } = response;
    let mut set = json!({
        "access_token": access_token.expose(),
        "token_type": token_type,
        "scope": scope,
        "expires_in": expires_in,
    });
    if let Some(refresh_token) = refresh_token.as_ref().map(Secret::expose) {
        set["refresh_token"] = refresh_token.into();
    }
    set
}
