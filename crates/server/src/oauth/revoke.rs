//! Revocation (RFC 7009): revokes a token on every node within a second, durably before the response.

use std::sync::Arc;

use axum::body::Body;
use axum::extract;
use axum::response::Response;
use countersign_protocol::access_token::{Expected, TokenFault, check_issued};
use countersign_protocol::client::Client;
use countersign_protocol::refresh_token::RefreshFamily;
use countersign_protocol::refusal::Refusal;
use countersign_protocol::revocation::Revoked;
use countersign_protocol::secret::{REFRESH_TOKEN_PREFIX, Secret};
use http::Request;

use crate::oauth::authenticate::authenticate;
use crate::oauth::exchange::Exchange;
use crate::oauth::form_body::receive;
use crate::oauth::respond::respond;
use crate::state::State;

/// `POST /oauth2/revoke` and `POST /OAuth2/Revoke/{api}`.
pub(crate) async fn revoke(
    extract::State(state): extract::State<Arc<State>>,
    mut exchange: Exchange,
    request: Request<Body>,
) -> Response {
    let answer = answer(&state, &mut exchange, request).await;
    respond(&exchange, "revoke", answer.map(|()| "{}".to_owned()))
}

async fn answer(state: &State, exchange: &mut Exchange, request: Request<Body>) -> Result<(), Refusal> {
    let (headers, form) = receive(state, exchange, request).await?;
    state.registry.check_fresh()?;
    let registry = state.registry.current().clone();
    let client = authenticate(state, &registry, exchange, &headers, &form)?.client;
    exchange.tenant.as_deref().map(|id| registry.find_tenant(id)).transpose()?;
    let token = form.find("token").ok_or(Refusal::MissingParameter("token"))?;
    state.registry.check_database()?;
    let ended = if token.starts_with(REFRESH_TOKEN_PREFIX) {
        revoke_refresh_token(state, client, token).await?
    } else {
        revoke_access_token(state, client, token).await?
    };
    if let Some(revoked) = ended {
        let (kind, id) = revoked.parts();
        let (request_id, client_id) = (exchange.caller.request_id(), client.id.as_str());
        tracing::info!(request_id, client_id, kind, id, "revoked");
    }
    Ok(())
}

/// Revokes an access token of the client. A token that this server did not issue or that has expired needs no
/// revocation (RFC 7009 §2.2). One that is only temporarily invalid does, such as a token of a disabled user.
async fn revoke_access_token(state: &State, client: &Client, token: &str) -> Result<Option<Revoked>, Refusal> {
    let expected = Expected { issuer: state.issuer.as_str(), audience: None };
    let claims = match check_issued(token, state.registry.as_ref(), expected, state.now()) {
        Ok(claims) => claims,
        Err(TokenFault::Stale) => return Err(Refusal::StaleRegistry),
        Err(_) => return Ok(None),
    };
    if claims.client_id != client.id.as_str() {
        return Err(Refusal::ForeignToken);
    }
    let revoked = Revoked::Token(claims.token_id);
    let (store, durable, until) = (state.store.clone(), revoked.clone(), claims.expires_at);
    state.write(async move { store.revoke(&durable, until).await }).await?;
    state.registry.insert_revoked(revoked.clone(), until);
    Ok(Some(revoked))
}

/// Revokes the family of the client's refresh token, including its access tokens (RFC 7009 §2.1).
async fn revoke_refresh_token(state: &State, client: &Client, token: &str) -> Result<Option<Revoked>, Refusal> {
    if !Secret::is_well_formed(REFRESH_TOKEN_PREFIX, token) {
        return Ok(None);
    }
    let found = state.store.find_refresh_token(&Secret::new(token).hash()).await;
    let Some(found) = found.map_err(|error| state.store_failed(&error))? else {
        return Ok(None);
    };
    let family = found.family;
    if family.client_id != client.id {
        return Err(Refusal::ForeignToken);
    }
    if family.ended {
        return Ok(None);
    }
    end_family(state, &family).await?;
    Ok(Some(Revoked::Family(family.id)))
}

/// Revokes a family, durably, and immediately on this node. The revocation is stored until the last access token of the
/// family has expired.
pub(crate) async fn end_family(state: &State, family: &RefreshFamily) -> Result<(), Refusal> {
    let (store, id, now) = (state.store.clone(), family.id.clone(), state.now());
    let registry = state.registry.current().clone();
    let lifetime_s = registry.find_api(family.api_id.as_str()).map_or(0, |api| api.access_token_lifetime_s);
    let until = state.write_always(async move { store.end_family(&id, now, now + lifetime_s).await }).await?;
    state.registry.insert_revoked(Revoked::Family(family.id.clone()), until);
    Ok(())
}
