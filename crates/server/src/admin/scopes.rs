//! `/admin/v1/apis/{id}/scopes`: what an API's tokens allow, and which rule matches a path.

use std::sync::Arc;

use axum::extract::{self, Path};
use countersign_protocol::api::{Api, ScopeDefinition};
use countersign_protocol::path_rule::{NormalPath, PathRule, normalise};
use countersign_protocol::scope_token::ScopeToken;
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::answer::{AdminBody, Answer, created, show};
use crate::admin::audit::Entry;
use crate::admin::change::Changing;
use crate::admin::change_error::ChangeError;
use crate::admin::edit::Edit;
use crate::admin::fields::find_own;
use crate::admin::fields::{find_api, line};
use crate::admin::page::{MAX_NAMED, Query, page};
use crate::admin::rights::Operator;
use crate::http::answer::json_response;
use crate::registry::Registry;
use crate::state::State;

/// The maximum number of scopes of an API, and of rules of a scope.
const MAX_SCOPES: usize = 200;
const MAX_RULES: usize = 50;
/// The maximum number of rules of an API. Its guard may try all of them for one request.
const MAX_API_RULES: usize = 2_000;
/// The maximum number of rules of all APIs. Every node keeps their texts in memory and reloads them after each change.
const MAX_SERVER_RULES: usize = 20_000;

/// A new scope.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewScope {
    name: String,
    #[serde(default)]
    description: String,
    rules: Vec<String>,
    #[serde(default)]
    default: bool,
}

/// The changes to a scope. Omitted fields stay the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    description: Option<String>,
    rules: Option<Vec<String>>,
    default: Option<bool>,
}

/// `GET apis/{id}/scopes`
pub(crate) async fn list(
    extract::State(state): extract::State<Arc<State>>,
    _: Operator,
    Path(api): Path<String>,
    uri: Uri,
) -> Answer {
    let query = Query::parse(&uri, &["after", "limit"])?;
    let registry = state.registry.current().clone();
    let scopes = find_api(&registry, &api)?.scopes.iter().collect();
    page(&query, scopes, |scope: &&ScopeDefinition| scope.token.as_str(), |scope| view(scope))
}

/// `GET apis/{id}/scopes/{name}`
pub async fn find(
    extract::State(state): extract::State<Arc<State>>,
    _: Operator,
    Path((api, name)): Path<(String, String)>,
) -> Answer {
    let registry = state.registry.current().clone();
    Ok(show(&view(find_scope(find_api(&registry, &api)?, &name)?)))
}

/// `GET apis/{id}/match?method=GET&path=/x`: which scopes allow the request, and by which rule.
pub(crate) async fn find_match(
    extract::State(state): extract::State<Arc<State>>,
    _: Operator,
    Path(api): Path<String>,
    uri: Uri,
) -> Answer {
    let query = Query::parse(&uri, &["method", "path"])?;
    let needed = |name: &'static str| query.find(name).ok_or_else(|| ChangeError::invalid(name, "missing"));
    let (method, path) = (needed("method")?, needed("path")?);
    let registry = state.registry.current().clone();
    let api = find_api(&registry, &api)?;
    // Like the guard: rules only apply to the path, without a query.
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    if !path.starts_with('/') {
        return Err(ChangeError::invalid("path", "must begin with /"));
    }
    let normal = normalise(path).map_err(|error| ChangeError::invalid("path", error.to_string()))?;
    // One at a time, and not on the threads that serve requests, because an API may have thousands of rules to compile.
    let _alone = state.matching.lock().await;
    let (api, asked) = (api.clone(), (method.to_owned(), normal.clone()));
    let find = move || find_matches(&api, &asked.0, &asked.1);
    let matches = tokio::task::spawn_blocking(find).await.map_err(ChangeError::internal)?;
    let body = json!({ "method": method, "path": normal.as_str(), "matches": matches });
    Ok(json_response(StatusCode::OK, body.to_string()))
}

/// Returns the first matching rule of each scope. The rules are tried detached: this node may not guard the API, and
/// should not keep thousands of compiled patterns because of one call.
fn find_matches(api: &Api, method: &str, path: &NormalPath) -> Vec<Value> {
    let opens = |rule: &&PathRule| rule.detached().allows(method, path);
    let opening = api.scopes.iter().filter_map(|scope| scope.rules.iter().find(opens).map(|rule| (scope, rule)));
    opening.map(|(scope, rule)| json!({ "scope": scope.token.as_str(), "rule": rule.as_str() })).collect()
}

/// `POST apis/{id}/scopes`
pub(crate) async fn create(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path(id): Path<String>,
    AdminBody(new): AdminBody<NewScope>,
) -> Answer {
    let mut changing = Changing::begin(&state, &operator).await?;
    let api = find_own(&changing.registry, &id)?.clone();
    // The name can be used in a path without escaping.
    let token = ScopeToken::parse(&new.name)
        .filter(|_| !new.name.contains(['/', '%', ';', '?', '#']) && new.name != "." && new.name != "..");
    let token = token
        .ok_or_else(|| ChangeError::invalid("name", "must be visible ASCII, without spaces and \" \\ / % ; ? #"))?;
    if api.find_scope(&token).is_some() {
        return Err(ChangeError::taken("name", format!("{id} already has a scope {token}")));
    }
    if api.scopes.len() >= MAX_SCOPES {
        return Err(ChangeError::conflict(format!("{id} has reached the limit of {MAX_SCOPES} scopes")));
    }
    let description = line("description", &new.description)?;
    let scope = ScopeDefinition { token, description, rules: rules(&new.rules)?, is_default: new.default };
    check_room_for_rules(&changing.registry, &api, scope.rules.len())?;
    changing.change.put_scope(&api.id, &scope).await?;
    let after = view(&scope);
    let target = format!("{id} {}", scope.token);
    changing.finish(Entry { action: "scope.create", target, before: None, after: Some(after.clone()) }).await?;
    Ok(created(&after, &after, &format!("/admin/v1/apis/{id}/scopes/{}", scope.token)))
}

/// `PATCH apis/{id}/scopes/{name}`
pub(crate) async fn update(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
    AdminBody(changes): AdminBody<Changes>,
) -> Answer {
    let changing = Changing::begin(&state, &operator).await?;
    let api = find_own(&changing.registry, &id)?.clone();
    let mut scope = find_scope(&api, &name)?.clone();
    let mut edit = Edit::begin(changing, &headers, view(&scope))?;
    if let Some(description) = &changes.description {
        scope.description = line("description", description)?;
    }
    if let Some(texts) = &changes.rules {
        let more = texts.len().saturating_sub(scope.rules.len());
        scope.rules = rules(texts)?;
        check_room_for_rules(&edit.registry, &api, more)?;
    }
    scope.is_default = changes.default.unwrap_or(scope.is_default);
    edit.change.put_scope(&api.id, &scope).await?;
    edit.update("scope.update", format!("{id} {name}"), view(&scope)).await
}

/// `DELETE apis/{id}/scopes/{name}`: refused while a client is entitled to it.
pub(crate) async fn delete(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let changing = Changing::begin(&state, &operator).await?;
    let api = find_own(&changing.registry, &id)?.clone();
    let scope = find_scope(&api, &name)?;
    let mut edit = Edit::begin(changing, &headers, view(scope))?;
    let users = edit.change.list_entitled(&api.id, Some(&scope.token), MAX_NAMED).await?;
    if !users.is_empty() {
        return Err(ChangeError::conflict(format!(
            "these clients are entitled to {name}: {}; remove their entitlements first",
            users.join(", ")
        )));
    }
    edit.change.delete_scope(&api.id, &scope.token).await?;
    edit.delete("scope.delete", format!("{id} {name}")).await
}

fn find_scope<'a>(api: &'a Api, name: &str) -> Result<&'a ScopeDefinition, ChangeError> {
    let found = ScopeToken::parse(name).and_then(|token| api.find_scope(&token));
    found.ok_or_else(|| ChangeError::not_found("scope", name))
}

/// Refuses rules beyond the limit of the API or the server. Reducing the number of rules is always possible.
fn check_room_for_rules(registry: &Registry, api: &Api, more: usize) -> Result<(), ChangeError> {
    let count = |api: &Api| api.scopes.iter().map(|scope| scope.rules.len()).sum::<usize>();
    let check = |owner: &str, present: usize, most: usize| {
        let detail = format!("{owner} has {present} rules, and the limit is {most}; cannot add {more} more");
        if more > 0 && present + more > most { Err(ChangeError::conflict(detail)) } else { Ok(()) }
    };
    check(&format!("API {}", api.id), count(api), MAX_API_RULES)?;
    check("this server", registry.apis().map(count).sum(), MAX_SERVER_RULES)
}

fn rules(texts: &[String]) -> Result<Vec<PathRule>, ChangeError> {
    if texts.is_empty() || texts.len() > MAX_RULES {
        return Err(ChangeError::invalid(
            "rules",
            format!("must contain 1 to {MAX_RULES} rules; a scope without rules allows no requests"),
        ));
    }
    let parse = |text: &String| {
        // Rules are stored one per line.
        let parsed =
            PathRule::parse(text).map_err(|error| ChangeError::invalid("rules", format!("`{text}`: {error}")))?;
        if text.chars().any(char::is_control) {
            return Err(ChangeError::invalid("rules", "must each be one line"));
        }
        let pattern = text.split_once(' ').map_or("", |(_, pattern)| pattern);
        if pattern.starts_with(|begin: char| begin.is_alphanumeric() || begin.is_whitespace()) {
            return Err(ChangeError::invalid(
                "rules",
                format!("`{text}`: the pattern must match paths that begin with /"),
            ));
        }
        Ok(parsed)
    };
    texts.iter().map(parse).collect()
}

/// Returns a scope for display.
pub(crate) fn view(scope: &ScopeDefinition) -> Value {
    json!({
        "name": scope.token.as_str(),
        "description": scope.description,
        "rules": scope.rules.iter().map(PathRule::as_str).collect::<Vec<_>>(),
        "default": scope.is_default,
    })
}
