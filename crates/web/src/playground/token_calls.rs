//! `POST introspect`, `refreshToken`, `revokeToken`: what a client can do with a token, sent as the client in the
//! settings.

use std::sync::Arc;

use axum::extract;
use axum::extract::Extension;
use countersign_client::{Client, Endpoints};
use countersign_protocol::jose::jws::UnverifiedJwt;
use countersign_protocol::secret::Secret;
use countersign_server::admin::own_api;
use countersign_server::http::caller::Caller;
use countersign_server::state::State;
use serde::Deserialize;
use serde_json::Value;

use crate::api::access::SignedIn;
use crate::api::envelope::{Answer, Success};
use crate::api::fault::Fault;
use crate::api::json_body::JsonBody;
use crate::playground::settings::{Settings, for_administration};
use crate::playground::token_set::{answer, timed};
use crate::playground::transport::{Inner, OwnServer};

/// An access token or a refresh token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    #[serde(alias = "refresh_token", alias = "refreshToken")]
    token: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    #[serde(alias = "refreshToken")]
    refresh_token: Secret,
}

/// `POST introspect`: returns the response of the introspection endpoint (RFC 7662).
pub(crate) async fn introspect(
    extract::State(state): extract::State<Arc<State>>,
    Extension(inner): Extension<Inner>,
    SignedIn { caller, .. }: SignedIn,
    JsonBody(Token { token }): JsonBody<Token>,
) -> Answer {
    let client = find_client(&state, &inner, &caller)?;
    let token = needed("token", &token)?;
    check_not_of_admin_api(&state, &token)?;
    let (found, timing) = timed(&state, "introspect", client.introspect(&token)).await?;
    Ok(Success::new(found).with_timing(timing))
}

/// `POST refreshToken`: returns a new token set, which the session also remembers.
pub(crate) async fn refresh(
    extract::State(state): extract::State<Arc<State>>,
    Extension(inner): Extension<Inner>,
    SignedIn { session, caller, .. }: SignedIn,
    JsonBody(Refresh { refresh_token }): JsonBody<Refresh>,
) -> Answer {
    let client = find_client(&state, &inner, &caller)?;
    let refresh_token = needed("refresh_token", &refresh_token)?;
    let (response, timing) = timed(&state, "token", client.refresh_token(&refresh_token, None)).await?;
    answer(&state, &session, &response, timing).await
}

/// `POST revokeToken`: returns `true` once the token is revoked.
pub(crate) async fn revoke(
    extract::State(state): extract::State<Arc<State>>,
    Extension(inner): Extension<Inner>,
    SignedIn { caller, .. }: SignedIn,
    JsonBody(Token { token }): JsonBody<Token>,
) -> Answer {
    let client = find_client(&state, &inner, &caller)?;
    let token = needed("token", &token)?;
    check_not_of_admin_api(&state, &token)?;
    let ((), timing) = timed(&state, "revoke", client.revoke_token(&token)).await?;
    Ok(Success::new(true).with_timing(timing))
}

/// Returns the client in the settings, which uses the standard paths, because a token determines its API.
fn find_client(state: &State, inner: &Inner, caller: &Caller) -> Result<Client<OwnServer>, Fault> {
    let settings = Settings::load(state)?;
    let secret = settings.find_secret()?;
    let address = |path| state.issuer.join(path);
    let endpoints = Endpoints::explicit_in_process(
        &address("/oauth2/token"),
        &address("/oauth2/introspect"),
        &address("/oauth2/revoke"),
    );
    let endpoints = endpoints.map_err(|error| Fault::internal(error.to_string()))?;
    Ok(Client::new(endpoints, settings.client_id, secret, OwnServer::new(inner, caller)))
}

/// Fails for a token of `admin-api`, whether or not it verifies, because the playground's client may have rights there
/// that its users do not have.
fn check_not_of_admin_api(state: &State, token: &Secret) -> Result<(), Fault> {
    let Ok(jwt) = UnverifiedJwt::parse(token.expose()) else { return Ok(()) };
    let ours = state.issuer.join(own_api::PATH);
    let is_ours = match jwt.claims().get("aud") {
        Some(Value::Array(several)) => several.iter().any(|one| *one == ours),
        one => one.is_some_and(|one| *one == ours),
    };
    if is_ours { Err(for_administration("token", "a token of admin-api")) } else { Ok(()) }
}

fn needed(field: &str, value: &Secret) -> Result<Secret, Fault> {
    let value = value.expose().trim();
    if value.is_empty() { Err(Fault::bad_request(format!("{field}: Required"))) } else { Ok(Secret::new(value)) }
}
