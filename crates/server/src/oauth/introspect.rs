//! Introspection (RFC 7662): tells authorized clients the content of a token, and whether it is active.

use std::sync::Arc;

use axum::body::Body;
use axum::extract;
use axum::response::Response;
use countersign_protocol::access_token::{Expected, TokenFault, check};
use countersign_protocol::api::Api;
use countersign_protocol::client::Client;
use countersign_protocol::grant::{Grant, refresh_token};
use countersign_protocol::ids::ApiId;
use countersign_protocol::introspection;
use countersign_protocol::refusal::Refusal;
use countersign_protocol::secret::{REFRESH_TOKEN_PREFIX, Secret};
use http::Request;
use serde_json::Value;

use crate::oauth::authenticate::authenticate;
use crate::oauth::exchange::Exchange;
use crate::oauth::form_body::receive;
use crate::oauth::respond::respond;
use crate::registry::Registry;
use crate::state::State;

/// `POST /oauth2/introspect` and `POST /OAuth2/Introspect/{api}`.
pub(crate) async fn introspect(
    extract::State(state): extract::State<Arc<State>>,
    mut exchange: Exchange,
    request: Request<Body>,
) -> Response {
    let answer = answer(&state, &mut exchange, request).await;
    respond(&exchange, "introspect", answer.map(|value| value.to_string()))
}

async fn answer(state: &State, exchange: &mut Exchange, request: Request<Body>) -> Result<Value, Refusal> {
    let (headers, form) = receive(state, exchange, request).await?;
    state.registry.check_fresh()?;
    let registry = state.registry.current().clone();
    let client = authenticate(state, &registry, exchange, &headers, &form)?.client;
    let tenant = exchange.tenant.as_deref().map(|id| registry.find_tenant(id)).transpose()?;
    let tenant = tenant.map(|api| &api.id);
    let token = form.find("token").ok_or(Refusal::MissingParameter("token"))?;
    let found = if token.starts_with(REFRESH_TOKEN_PREFIX) {
        describe_refresh_token(state, &registry, client, tenant, token).await?
    } else {
        describe_access_token(state, &registry, client, tenant, token)?
    };
    tracing::debug!(request_id = exchange.caller.request_id(), active = found.is_some(), "token introspected");
    Ok(found.unwrap_or_else(introspection::inactive))
}

fn describe_access_token(
    state: &State,
    registry: &Registry,
    client: &Client,
    tenant: Option<&ApiId>,
    token: &str,
) -> Result<Option<Value>, Refusal> {
    let expected = Expected { issuer: state.issuer.as_str(), audience: None };
    let claims = match check(token, state.registry.as_ref(), expected, state.now()) {
        Ok(claims) => claims,
        Err(TokenFault::Stale) => return Err(Refusal::StaleRegistry),
        Err(fault) => {
            tracing::debug!(client_id = client.id.as_str(), reason = %fault, "token is inactive");
            return Ok(None);
        }
    };
    let api = claims.audiences.first().and_then(|audience| registry.find_api_by_audience(audience));
    let Some(api) = api.filter(|api| is_of(api, tenant)) else {
        return Ok(None);
    };
    Ok(introspection::may_see(client, &claims, api).then(|| introspection::access_token(&claims)))
}

async fn describe_refresh_token(
    state: &State,
    registry: &Registry,
    client: &Client,
    tenant: Option<&ApiId>,
    token: &str,
) -> Result<Option<Value>, Refusal> {
    if !Secret::is_well_formed(REFRESH_TOKEN_PREFIX, token) {
        return Ok(None);
    }
    state.registry.check_database()?;
    let found = state.store.find_refresh_token(&Secret::new(token).hash()).await;
    let Some(found) = found.map_err(|error| state.store_failed(&error))? else {
        return Ok(None);
    };
    let api = registry.find_api(found.family.api_id.as_str()).filter(|api| is_of(api, tenant));
    let user = registry.find_user(found.family.user_id.as_str());
    let (Some(api), Some(user)) = (api, user) else {
        return Ok(None);
    };
    if found.spent_at.is_some() {
        return Ok(None);
    }
    let granted = refresh_token::check_owner(&found, client)
        .and_then(|()| refresh_token::decide(&found, client, Some(user), api, None, state.now()));
    let describe = |grant: Grant| introspection::refresh_token(&found, &grant.scope, user, api, &state.issuer);
    Ok(granted.ok().map(describe))
}

/// On a tenant path, a token of another API is inactive.
fn is_of(api: &Api, tenant: Option<&ApiId>) -> bool {
    tenant.is_none_or(|tenant| *tenant == api.id)
}
