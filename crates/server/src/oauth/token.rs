//! The token endpoint (RFC 6749 §3.2): parse, authenticate, decide, issue, respond.

use std::sync::Arc;

use axum::body::Body;
use axum::extract;
use axum::response::Response;
use countersign_protocol::api::Api;
use countersign_protocol::grant::{Grant, Subject, check_allowed, client_credentials, decide_scope, password};
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::refusal::Refusal;
use countersign_protocol::secret::Secret;
use countersign_protocol::token_request::TokenRequest;
use countersign_protocol::user::{Login, User};
use http::Request;

use crate::http::caller::Caller;
use crate::http::source::Source;
use crate::oauth::asked::Asked;
use crate::oauth::authenticate::{Authenticated, authenticate};
use crate::oauth::exchange::Exchange;
use crate::oauth::form_body::receive;
use crate::oauth::issue::{Issued, TokenParams, issue, issue_with_family};
use crate::oauth::refresh::{PresentedToken, by_refresh_token};
use crate::oauth::refusal::error_of;
use crate::oauth::respond::respond;
use crate::people::attempt::Presenter;
use crate::people::known_device::Device;
use crate::people::passwords::{self, Named, Verdict};
use crate::registry::Registry;
use crate::state::State;
use crate::usage::uses::Used;

/// `POST /oauth2/token` and `POST /OAuth2/Token/{api}`.
pub(crate) async fn token(
    extract::State(state): extract::State<Arc<State>>,
    mut exchange: Exchange,
    request: Request<Body>,
) -> Response {
    let answer = answer(&state, &mut exchange, request).await;
    let grant = exchange.form.as_ref().and_then(|form| GrantType::parse(form.find("grant_type")?).ok());
    state.metrics.count_token(grant, answer.as_ref().map_or_else(error_of, |_| "issued"));
    respond(&exchange, "token", answer.map(|issued| issued.to_json()))
}

/// Every request copies this future, so the futures of the other grants, which are large, are boxed.
async fn answer(state: &State, exchange: &mut Exchange, request: Request<Body>) -> Result<Issued, Refusal> {
    let (headers, form) = receive(state, exchange, request).await?;
    let request = TokenRequest::parse(&form)?;
    state.registry.check_fresh()?;
    let registry = state.registry.current().clone();
    let authenticated = authenticate(state, &registry, exchange, &headers, &form)?;
    let grant_type = GrantType::parse(&request.grant_type)?;
    let (caller, client) = (&exchange.caller, authenticated.client);
    let requested = match grant_type {
        GrantType::ClientCredentials => Requested::ClientCredentials,
        GrantType::Password => Requested::Password,
        // Before anything else is judged: a reused token revokes its family in any case.
        GrantType::RefreshToken => {
            let finding = Box::pin(PresentedToken::find(state, &registry, client, &request));
            Requested::RefreshToken(Box::new(finding.await?))
        }
    };
    let named = find_named_api(&registry, exchange.tenant.as_deref(), &request)?;
    let asked = Asked { registry: &registry, caller, client, named, request: &request };
    let mut taken = state.token_limits.take(client, state.now())?;
    let issued = match requested {
        Requested::ClientCredentials => by_client_credentials(state, &asked)?,
        Requested::RefreshToken(presented) => Box::pin(by_refresh_token(state, &asked, *presented)).await?,
        Requested::Password => {
            // Wrong passwords that are still being checked must not use up the client's token limit.
            drop(taken);
            let issued = Box::pin(by_password(state, &asked)).await?;
            taken = state.token_limits.take(client, state.now())?;
            issued
        }
    };
    taken.keep();
    record(state, caller, &authenticated, grant_type, &issued);
    Ok(issued)
}

/// A requested grant, with what is looked up for it first.
enum Requested {
    ClientCredentials,
    Password,
    RefreshToken(Box<PresentedToken>),
}

/// Returns the API in the path or in `resource`. If both are present, they must agree.
fn find_named_api(
    registry: &Registry,
    tenant: Option<&str>,
    request: &TokenRequest,
) -> Result<Option<Arc<Api>>, Refusal> {
    let tenant = tenant.map(|id| registry.find_tenant(id)).transpose()?;
    let resource = registry.find_named(&request.resources)?;
    match (tenant, resource) {
        (Some(tenant), Some(resource)) if tenant.id != resource.id => Err(Refusal::SeveralResources),
        (tenant, resource) => Ok(tenant.or(resource).cloned()),
    }
}

fn by_client_credentials(state: &State, asked: &Asked<'_>) -> Result<Issued, Refusal> {
    let Asked { registry, client, .. } = *asked;
    let api = asked.find_api(GrantType::ClientCredentials)?;
    let entitlement = check_allowed(client, &api, GrantType::ClientCredentials)?;
    let now = state.now();
    let grant = client_credentials::decide(client, &api, entitlement, asked.scope(), now)?;
    issue(state, &TokenParams { registry, client, api: &api, grant, now })
}

async fn by_password(state: &State, asked: &Asked<'_>) -> Result<Issued, Refusal> {
    let Asked { registry, client, .. } = *asked;
    let api = asked.find_api(GrantType::Password)?;
    let entitlement = check_allowed(client, &api, GrantType::Password)?;
    let (username, password) = password::parameters(asked.request)?;
    let scope = decide_scope(&api, entitlement, asked.scope())?;
    let subject = check_password(state, asked, username, password).await?;
    let now = state.now();
    let grant = Grant { scope, subject, auth_time: now, family: None };
    let params = TokenParams { registry, client, api: &api, grant, now };
    if check_allowed(client, &api, GrantType::RefreshToken).is_ok() {
        issue_with_family(state, params).await
    } else {
        issue(state, &params)
    }
}

/// Returns the user with this name and password.
async fn check_password(
    state: &State,
    asked: &Asked<'_>,
    username: &str,
    password: &Secret,
) -> Result<Subject, Refusal> {
    if Login::parse(username).is_none() {
        return Err(Refusal::UnknownUser);
    }
    let named = Named::find(state, username).await?;
    let (caller, source) = (asked.caller, Source::of(asked.caller.address));
    let device = Some(Device::of_client(state, &asked.client.id, source, username).await?);
    // The right password of a user who may not use this grant counts as wrong. Otherwise, callers could tell it from a
    // wrong one.
    let judge = |user: Option<Arc<User>>, is_right| password::decide(user.as_deref(), is_right).map(Verdict::Right);
    passwords::check(state, named, password, Presenter { caller, device }, judge).await
}

/// Logs an issued token, and counts it in memory. `flush_uses` stores the counts later. The use of the credential was
/// recorded in `authenticate`.
fn record(state: &State, caller: &Caller, authenticated: &Authenticated<'_>, grant_type: GrantType, issued: &Issued) {
    let Authenticated { client, credential } = authenticated;
    let used = Used { client: &client.id, credential_id: &credential.id, address: caller.address };
    state.uses.count_token(used, &issued.api_id, grant_type, state.now());
    tracing::info!(
        request_id = caller.request_id(),
        client_id = client.id.as_str(),
        credential_id = credential.id.as_str(),
        grant_type = grant_type.as_str(),
        api = issued.api_id.as_str(),
        scope = issued.scope,
        token_id = issued.token_id,
        "token issued"
    );
}
