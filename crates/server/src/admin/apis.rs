//! `/admin/v1/apis`: APIs.

use std::sync::Arc;

use axum::extract::{self, Path};
use countersign_protocol::api::{Api, RefreshPolicy};
use countersign_protocol::audience::Audience;
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_store::{EntryKind, Note};
use http::{HeaderMap, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::answer::{AdminBody, Answer, created, show};
use crate::admin::audit::Entry;
use crate::admin::change::Changing;
use crate::admin::change_error::ChangeError;
use crate::admin::edit::Edit;
use crate::admin::fields::{api_id, find_api, find_own, grants, name, within};
use crate::admin::page::{MAX_NAMED, Query, page_of_kind};
use crate::admin::rights::Operator;
use crate::admin::scopes;
use crate::background::make_keys;
use crate::keys::first_key;
use crate::registry::Registry;
use crate::state::State;

/// Lifetimes of access tokens are between a second and a day. With a longer lifetime, a token would be a password.
const LIFETIME_S: std::ops::RangeInclusive<i64> = 1..=86_400;
/// Lifetimes of refresh tokens are between a minute and a year.
const REFRESH_S: std::ops::RangeInclusive<i64> = 60..=31_536_000;
/// How long the use of a refresh token can be repeated.
const RETRY_S: std::ops::RangeInclusive<i64> = 0..=120;
const DEFAULT_LIFETIME_S: i64 = 3600;
/// The maximum number of APIs. Every node keeps all of them in memory and reloads them after each change.
const MAX_APIS: usize = 10_000;

/// A new API.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApi {
    id: String,
    audience: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    grants: Option<Vec<String>>,
    #[serde(default)]
    access_token_lifetime_s: Option<i64>,
    #[serde(default)]
    algorithm: Option<String>,
    #[serde(default)]
    refresh_idle_s: Option<i64>,
    #[serde(default)]
    refresh_absolute_s: Option<i64>,
    #[serde(default)]
    refresh_retry_s: Option<i64>,
}

/// The changes to an API. Omitted fields stay the same.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Changes {
    audience: Option<String>,
    name: Option<String>,
    grants: Option<Vec<String>>,
    access_token_lifetime_s: Option<i64>,
    algorithm: Option<String>,
    refresh_idle_s: Option<i64>,
    refresh_absolute_s: Option<i64>,
    refresh_retry_s: Option<i64>,
}

/// `GET apis`
pub(crate) async fn list(extract::State(state): extract::State<Arc<State>>, _: Operator, uri: Uri) -> Answer {
    let query = Query::parse(&uri, &["after", "limit"])?;
    let show = |registry: &Registry, id: &str| Some(view(registry.find_api(id)?, &registry.note_of_api(id)));
    page_of_kind(&state, &query, EntryKind::Api, show).await
}

/// `GET apis/{id}`
pub async fn find(extract::State(state): extract::State<Arc<State>>, _: Operator, Path(id): Path<String>) -> Answer {
    let registry = state.registry.current().clone();
    Ok(show(&view(find_api(&registry, &id)?, &registry.note_of_api(&id))))
}

/// `POST apis`
pub(crate) async fn create(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    AdminBody(new): AdminBody<NewApi>,
) -> Answer {
    let mut changing = Changing::begin(&state, &operator).await?;
    let mut api = Api {
        id: api_id(&new.id)?,
        audience: audience(&new.audience)?,
        name: new.id.clone(),
        scopes: Vec::new(),
        grants: [GrantType::ClientCredentials].into_iter().collect(),
        access_token_lifetime_s: DEFAULT_LIFETIME_S,
        algorithm: Algorithm::Es256,
        refresh: RefreshPolicy::default(),
        epoch: changing.change.number(),
        removals: Box::default(),
    };
    let chosen = Changes {
        audience: None,
        name: new.name,
        grants: new.grants,
        access_token_lifetime_s: new.access_token_lifetime_s,
        algorithm: new.algorithm,
        refresh_idle_s: new.refresh_idle_s,
        refresh_absolute_s: new.refresh_absolute_s,
        refresh_retry_s: new.refresh_retry_s,
    };
    apply(&mut api, &chosen)?;
    if changing.registry.find_api(api.id.as_str()).is_some() {
        return Err(ChangeError::taken("id", format!("{} is taken", api.id)));
    }
    check_audience_is_free(&changing.registry, &api)?;
    if changing.registry.apis().count() >= MAX_APIS {
        return Err(ChangeError::conflict(format!(
            "the server has reached the limit of {MAX_APIS} APIs; delete one first"
        )));
    }
    changing.change.insert_api(&api).await?;
    let note = Note { created_at: state.now(), ..Note::default() };
    let after = view(&api, &note);
    let (action, target) = ("api.create", api.id.to_string());
    changing.finish(Entry { action, target, before: None, after: Some(after.clone()) }).await?;
    // The API exists even if creating its key fails. The server retries that later.
    make_keys::run_once(&state).await;
    Ok(created(&after, &after, &format!("/admin/v1/apis/{}", api.id)))
}

/// `PATCH apis/{id}`
pub(crate) async fn update(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path(id): Path<String>,
    headers: HeaderMap,
    AdminBody(changes): AdminBody<Changes>,
) -> Answer {
    if let Some(algorithm) = changes.algorithm.as_deref().and_then(Algorithm::parse) {
        find_own(&state.registry.current(), &id)?;
        // Before the change: otherwise, the API's clients would be refused until there is a key.
        first_key::provide(&state, algorithm).await?;
    }
    let changing = Changing::begin(&state, &operator).await?;
    let note = changing.registry.note_of_api(&id);
    let mut api = Api::clone(find_own(&changing.registry, &id)?);
    let mut edit = Edit::begin(changing, &headers, view(&api, &note))?;
    apply(&mut api, &changes)?;
    check_audience_is_free(&edit.registry, &api)?;
    edit.change.update_api(&api).await?;
    let updated = edit.update("api.update", id, view(&api, &note)).await?;
    make_keys::run_once(&state).await;
    Ok(updated)
}

/// `DELETE apis/{id}`: refused while a client is entitled to it.
pub(crate) async fn delete(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let changing = Changing::begin(&state, &operator).await?;
    let api = find_own(&changing.registry, &id)?.clone();
    let before = view(&api, &changing.registry.note_of_api(&id));
    let mut edit = Edit::begin(changing, &headers, before)?;
    let users = edit.change.list_entitled(&api.id, None, MAX_NAMED).await?;
    if !users.is_empty() {
        let detail = format!(
            "these clients are entitled to {id}: {}; remove their entitlements with `client disallow` first",
            users.join(", ")
        );
        return Err(ChangeError::conflict(detail));
    }
    edit.change.delete_api(&api.id).await?;
    edit.delete("api.delete", id).await
}

/// Sets what the request contains. `create` starts with ES256.
fn apply(api: &mut Api, changes: &Changes) -> Result<(), ChangeError> {
    if let Some(text) = &changes.audience {
        api.audience = audience(text)?;
    }
    if let Some(text) = &changes.name {
        api.name = name(text)?;
    }
    if let Some(names) = &changes.grants {
        api.grants = grants(names)?;
        if names.is_empty() {
            return Err(ChangeError::invalid("grants", "must not be empty"));
        }
    }
    if let Some(lifetime_s) = changes.access_token_lifetime_s {
        api.access_token_lifetime_s = within("access_token_lifetime_s", lifetime_s, LIFETIME_S)?;
    }
    if let Some(name) = &changes.algorithm {
        let known = Algorithm::ALL.map(Algorithm::as_str).join(" ");
        let parsed = Algorithm::parse(name);
        api.algorithm = parsed.ok_or_else(|| ChangeError::invalid("algorithm", format!("must be one of: {known}")))?;
    }
    if let Some(idle_s) = changes.refresh_idle_s {
        api.refresh.idle_s = within("refresh_idle_s", idle_s, REFRESH_S)?;
    }
    if let Some(absolute_s) = changes.refresh_absolute_s {
        api.refresh.absolute_s = within("refresh_absolute_s", absolute_s, REFRESH_S)?;
    }
    if let Some(retry_s) = changes.refresh_retry_s {
        api.refresh.retry_s = within("refresh_retry_s", retry_s, RETRY_S)?;
    }
    let asked = changes.refresh_idle_s.or(changes.refresh_absolute_s);
    if asked.is_some() && api.refresh.idle_s > api.refresh.absolute_s {
        let what = format!("must not exceed refresh_absolute_s, {}", api.refresh.absolute_s);
        return Err(ChangeError::invalid("refresh_idle_s", what));
    }
    Ok(())
}

fn audience(text: &str) -> Result<Audience, ChangeError> {
    let what = "must be an absolute URI without a fragment, for example https://billing.example";
    Audience::parse(text).filter(|_| is_uri(text)).ok_or_else(|| ChangeError::invalid("audience", what))
}

/// True if the text only contains characters that are allowed in a URI, and each `%` starts an octet (RFC 3986 §2).
fn is_uri(text: &str) -> bool {
    let may_be = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    let is_octet = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let has_host = text.split_once("://").is_none_or(|(_, rest)| !rest.starts_with('/'));
    let bracket = text.find(['[', ']']);
    let brackets_a_host = bracket.is_none_or(|at| text[..at].ends_with("://") && text.matches(['[', ']']).count() == 2);
    text.bytes().all(may_be) && text.split('%').skip(1).all(is_octet) && has_host && brackets_a_host
}

/// Fails if another API has this audience or an equivalent one. An API keeps the audience that it has.
fn check_audience_is_free(registry: &Registry, api: &Api) -> Result<(), ChangeError> {
    if registry.find_api(api.id.as_str()).is_some_and(|stored| stored.audience == api.audience) {
        return Ok(());
    }
    let others = registry.find_equivalent(api.audience.as_str()).iter();
    match others.filter(|other| **other != api.id).find_map(|other| registry.find_api(other.as_str())) {
        Some(other) if other.audience == api.audience => {
            Err(ChangeError::taken("audience", format!("already used by {}", other.id)))
        }
        Some(other) => {
            let detail = format!("equivalent to {}, the audience of {}", other.audience, other.id);
            Err(ChangeError::taken("audience", detail))
        }
        None => Ok(()),
    }
}

/// Returns an API for display.
fn view(api: &Api, note: &Note) -> Value {
    json!({
        "id": api.id.as_str(),
        "audience": api.audience.as_str(),
        "name": api.name,
        "grants": api.grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
        "access_token_lifetime_s": api.access_token_lifetime_s,
        "algorithm": api.algorithm.as_str(),
        "refresh_idle_s": api.refresh.idle_s,
        "refresh_absolute_s": api.refresh.absolute_s,
        "refresh_retry_s": api.refresh.retry_s,
        "scopes": api.scopes.iter().map(scopes::view).collect::<Vec<_>>(),
        "created_at": note.created_at,
    })
}
