//! `/admin/v1/clients/{id}/entitlements/{api}`: what a client may request from an API and introspect.

use std::sync::Arc;

use axum::extract::{self, Path};
use countersign_protocol::client::{Client, Entitlement};
use countersign_protocol::ids::ApiId;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::answer::{AdminBody, Answer, show};
use crate::admin::change::Changing;
use crate::admin::change_error::ChangeError;
use crate::admin::edit::Edit;
use crate::admin::fields::{find_api, find_client, grants, scopes};
use crate::admin::operator::check_one_stays;
use crate::admin::own_api;
use crate::admin::page::list;
use crate::admin::rights::Operator;
use crate::state::State;

/// The maximum number of entitlements of a client. A token request may search all of them.
const MAX_ENTITLEMENTS: usize = 200;

/// A complete entitlement.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEntitlement {
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    grants: Vec<String>,
    #[serde(default)]
    introspect: bool,
}

/// `GET clients/{id}/entitlements`
pub(crate) async fn list_all(
    extract::State(state): extract::State<Arc<State>>,
    _: Operator,
    Path(id): Path<String>,
) -> Answer {
    let registry = state.registry.current().clone();
    Ok(list(views(find_client(&registry, &id)?), None))
}

/// `GET clients/{id}/entitlements/{api}`
pub async fn find(
    extract::State(state): extract::State<Arc<State>>,
    _: Operator,
    Path((id, api)): Path<(String, String)>,
) -> Answer {
    let registry = state.registry.current().clone();
    let found = find_view(find_client(&registry, &id)?, &api);
    Ok(show(&found.ok_or_else(|| ChangeError::not_found("entitlement to", &api))?))
}

/// `PUT clients/{id}/entitlements/{api}`: replaces the entitlement. Callers cannot grant scopes of `admin-api` that
/// they do not have.
pub(crate) async fn put(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path((id, api_id)): Path<(String, String)>,
    headers: HeaderMap,
    AdminBody(new): AdminBody<NewEntitlement>,
) -> Answer {
    let changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let client = find_client(&registry, &id)?;
    let api = find_api(&registry, &api_id)?;
    let before = find_view(client, &api_id);
    let is_new = before.is_none();
    let mut edit = Edit::begin(changing, &headers, before)?;
    operator.check_can_administer(client)?;
    let (scopes, grants) = (scopes(api, &new.scopes)?, grants(&new.grants)?);
    if let Some(refused) = grants.iter().find(|grant| !api.allows(*grant)) {
        return Err(ChangeError::invalid("grants", format!("{api_id} does not allow {refused}")));
    }
    match (scopes.is_empty(), new.grants.is_empty()) {
        (true, true) if new.introspect => {}
        (true, _) => return Err(ChangeError::invalid("scopes", "must not be empty")),
        (false, true) => return Err(ChangeError::invalid("grants", "must not be empty")),
        (false, false) => {}
    }
    if is_new && views(client).len() >= MAX_ENTITLEMENTS {
        let detail = format!("{id} has reached the limit of {MAX_ENTITLEMENTS} entitlements; delete one first");
        return Err(ChangeError::conflict(detail));
    }
    if api_id == own_api::API {
        operator.check_holds(&scopes, "scopes")?;
        if new.introspect {
            operator.check_holds_all("introspect")?;
        }
        let mut after = client.clone();
        after.may_ask.retain(|(id, _)| *id != api.id);
        after.may_ask.push((api.id.clone(), Entitlement { scopes: scopes.clone(), grants }));
        check_one_stays(&registry, client, Some(&after), state.now())?;
    }
    edit.change.disallow(&client.id, &api.id).await?;
    let entitlement = Entitlement { scopes, grants };
    if !entitlement.scopes.is_empty() {
        edit.change.allow_ask(&client.id, &api.id, &entitlement).await?;
    }
    if new.introspect {
        edit.change.allow_introspect(&client.id, &api.id).await?;
    }
    let after = view(&api.id, Some(&entitlement), new.introspect);
    edit.update("entitlement.put", format!("{id} {api_id}"), after).await
}

/// `DELETE clients/{id}/entitlements/{api}`
pub(crate) async fn delete(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path((id, api)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let client = find_client(&registry, &id)?;
    let before = find_view(client, &api).ok_or_else(|| ChangeError::not_found("entitlement to", &api))?;
    let mut edit = Edit::begin(changing, &headers, before)?;
    operator.check_can_administer(client)?;
    let mut without = client.clone();
    without.may_ask.retain(|(id, _)| id.as_str() != api);
    check_one_stays(&registry, client, Some(&without), state.now())?;
    let api_id = find_api(&registry, &api)?.id.clone();
    edit.change.disallow(&client.id, &api_id).await?;
    edit.delete("entitlement.delete", format!("{id} {api}")).await
}

/// Returns all entitlements of a client for display.
pub(crate) fn views(client: &Client) -> Vec<Value> {
    let asked = client.may_ask.iter().map(|(api, _)| api);
    let only_introspected = client.may_introspect.iter().filter(|api| client.find_entitlement(api).is_none());
    asked.chain(only_introspected).filter_map(|api| find_view(client, api.as_str())).collect()
}

fn find_view(client: &Client, api: &str) -> Option<Value> {
    let asked = client.may_ask.iter().find(|(id, _)| id.as_str() == api);
    let introspected = client.may_introspect.iter().find(|id| id.as_str() == api);
    let id = asked.map(|(id, _)| id).or(introspected)?;
    Some(view(id, asked.map(|(_, entitlement)| entitlement), introspected.is_some()))
}

fn view(api: &ApiId, entitlement: Option<&Entitlement>, introspect: bool) -> Value {
    let scopes: Vec<&str> =
        entitlement.map(|it| it.scopes.iter().map(|scope| scope.as_str()).collect()).unwrap_or_default();
    let grants: Vec<&str> =
        entitlement.map(|it| it.grants.iter().map(|grant| grant.as_str()).collect()).unwrap_or_default();
    json!({ "api": api.as_str(), "scopes": scopes, "grants": grants, "introspect": introspect })
}
