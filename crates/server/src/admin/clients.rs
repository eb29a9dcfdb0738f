//! `/admin/v1/clients`: clients.

use std::sync::Arc;

use axum::extract::{self, Path};
use countersign_protocol::client::{Client, ClientAuthMethod, ClientAuthMethods, Credentials, MayAsk, TokenLimits};
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::ids::ApiId;
use countersign_protocol::scope_token::ScopeToken;
use countersign_protocol::status::Status;
use countersign_store::{EntryKind, NewClient as StoredClient, Note};
use http::{HeaderMap, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::answer::{AdminBody, Answer, created, show};
use crate::admin::audit::Entry;
use crate::admin::change::Changing;
use crate::admin::change_error::ChangeError;
use crate::admin::edit::Edit;
use crate::admin::entitlements;
use crate::admin::fields::{self, client_id, find_client, line, status, within};
use crate::admin::new_secret::{self, NewSecret};
use crate::admin::operator::check_one_stays;
use crate::admin::page::{Query, page_of_entitled, page_of_kind};
use crate::admin::rights::Operator;
use crate::admin::usage::{LastUses, is_unused};
use crate::document::Nullable;
use crate::registry::Registry;
use crate::state::State;

/// Token limits of a client, from 0 to more than a node can issue.
const TOKENS: std::ops::RangeInclusive<i64> = 0..=10_000_000_000;

/// A new client. With `secret`, it gets its first secret. Otherwise, secrets can be added later.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewClient {
    client_id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    auth_methods: Option<Vec<String>>,
    #[serde(default)]
    tokens_per_minute: Option<Nullable<i64>>,
    #[serde(default)]
    tokens_per_day: Option<Nullable<i64>>,
    #[serde(default)]
    secret: Option<NewSecret>,
}

/// The changes to a client. Omitted fields stay the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    name: Option<String>,
    owner: Option<String>,
    auth_methods: Option<Vec<String>>,
    status: Option<String>,
    /// `null` means no limit.
    tokens_per_minute: Option<Nullable<i64>>,
    /// `null` means no limit.
    tokens_per_day: Option<Nullable<i64>>,
}

/// `GET clients?unused_since=&api=&scope=&grant=`
pub(crate) async fn list(extract::State(state): extract::State<Arc<State>>, _: Operator, uri: Uri) -> Answer {
    let query = Query::parse(&uri, &["after", "limit", "unused_since", "api", "scope", "grant"])?;
    let wanted = Wanted::parse(&query, &state.registry.current())?;
    let unused = match query.number("unused_since")? {
        Some(since) => Some((LastUses::load(&state).await?, since)),
        None => None,
    };
    let show = |registry: &Registry, id: &str| {
        let is_wanted = unused.as_ref().is_none_or(|(uses, since)| is_unused(registry, uses, id, *since));
        let client = is_wanted.then(|| registry.find_client(id)).flatten()?;
        wanted.as_ref().is_none_or(|wanted| wanted.is_met_by(client)).then(|| view(registry, client))
    };
    match &wanted {
        None => page_of_kind(&state, &query, EntryKind::Client, show).await,
        Some(wanted) => page_of_entitled(&state, &query, wanted.api.as_str(), show).await,
    }
}

/// The entitlement that listed clients have.
struct Wanted {
    api: ApiId,
    scope: Option<ScopeToken>,
    grant: Option<GrantType>,
}

impl Wanted {
    fn parse(query: &Query, registry: &Registry) -> Result<Option<Self>, ChangeError> {
        let (scope, grant) = (query.find("scope").map(str::to_owned), query.find("grant").map(str::to_owned));
        let Some(id) = query.find("api") else {
            return match (scope, grant) {
                (None, None) => Ok(None),
                _ => Err(ChangeError::invalid("api", "missing; scope and grant require an API")),
            };
        };
        let api = registry.find_api(id).ok_or_else(|| ChangeError::invalid("api", format!("there is no API {id}")))?;
        let no_scope = |name| ChangeError::invalid("scope", format!("`{name}` is not a scope of {id}"));
        let find = |name: String| {
            ScopeToken::parse(&name).filter(|token| api.find_scope(token).is_some()).ok_or_else(|| no_scope(name))
        };
        let scope = scope.map(find).transpose()?;
        let no_grant = |_| ChangeError::invalid("grant", "is not a grant");
        let grant = grant.map(|name| GrantType::parse(&name).map_err(no_grant)).transpose()?;
        Ok(Some(Self { api: api.id.clone(), scope, grant }))
    }

    /// Without a scope and a grant, introspection is enough.
    fn is_met_by(&self, client: &Client) -> bool {
        let Some(entitlement) = client.find_entitlement(&self.api) else {
            return self.scope.is_none() && self.grant.is_none();
        };
        self.scope.as_ref().is_none_or(|scope| entitlement.scopes.contains(scope))
            && self.grant.is_none_or(|grant| entitlement.grants.contains(grant))
    }
}

/// `GET clients/{id}`
pub async fn find(extract::State(state): extract::State<Arc<State>>, _: Operator, Path(id): Path<String>) -> Answer {
    let registry = state.registry.current().clone();
    Ok(show(&view(&registry, find_client(&registry, &id)?)))
}

/// `POST clients`
pub(crate) async fn create(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    AdminBody(new): AdminBody<NewClient>,
) -> Answer {
    let id = client_id(&new.client_id)?;
    let auth_methods = match &new.auth_methods {
        Some(names) => methods(names)?,
        None => ClientAuthMethod::ALL.into_iter().collect(),
    };
    let name = fields::name(new.name.as_deref().unwrap_or(id.as_str()))?;
    let owner = line("owner", &new.owner)?;
    if new.secret.is_some() {
        operator.check_may("secrets:write")?;
    }
    let made = new.secret.map(|secret| secret.make(&state)).transpose()?;
    let limits = TokenLimits {
        per_minute: new.tokens_per_minute.map_or(Ok(None), |most| limit("tokens_per_minute", most))?,
        per_day: new.tokens_per_day.map_or(Ok(None), |most| limit("tokens_per_day", most))?,
    };
    let mut changing = Changing::begin(&state, &operator).await?;
    let stored = StoredClient { id: id.clone(), name: name.clone(), owner: owner.clone(), auth_methods };
    changing.change.insert_client(&stored).await?;
    changing.change.set_client_limits(&id, limits).await?;
    if let Some((credential, _)) = &made {
        changing.change.insert_credential(&id, credential).await?;
    }
    let client = Client {
        id: id.clone(),
        name,
        auth_methods,
        credentials: Credentials::new(),
        may_ask: MayAsk::new(),
        may_introspect: Vec::new(),
        limits: Some(Box::new(limits)),
        status: Status::Active,
        epoch: changing.change.number(),
        removals: Box::default(),
    };
    let after = describe(&client, &Note { created_at: state.now(), owner, ..Note::default() });
    let (mut audited, mut shown) = (after.clone(), after.clone());
    if let Some((credential, secret)) = &made {
        audited["secret_id"] = credential.id.as_str().into();
        shown["secret"] = new_secret::answer(&id, credential, secret.as_ref());
    }
    let (action, target) = ("client.create", id.to_string());
    changing.finish(Entry { action, target, before: None, after: Some(audited) }).await?;
    Ok(created(&shown, &after, &format!("/admin/v1/clients/{id}")))
}

/// `PATCH clients/{id}`
pub(crate) async fn update(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path(id): Path<String>,
    headers: HeaderMap,
    AdminBody(changes): AdminBody<Changes>,
) -> Answer {
    let changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let standing = find_client(&registry, &id)?;
    let mut client = standing.clone();
    let mut note = registry.note_of_client(&id);
    let mut edit = Edit::begin(changing, &headers, describe(&client, &note))?;
    operator.check_can_administer(&client)?;
    if let Some(text) = &changes.name {
        client.name = fields::name(text)?;
    }
    if let Some(owner) = &changes.owner {
        note.owner = line("owner", owner)?;
    }
    if let Some(names) = &changes.auth_methods {
        client.auth_methods = methods(names)?;
    }
    let stored = StoredClient {
        id: client.id.clone(),
        name: client.name.clone(),
        owner: note.owner.clone(),
        auth_methods: client.auth_methods,
    };
    edit.change.update_client(&stored).await?;
    let mut limits = client.limits.as_deref().copied().unwrap_or_default();
    if let Some(most) = changes.tokens_per_minute {
        limits.per_minute = limit("tokens_per_minute", most)?;
    }
    if let Some(most) = changes.tokens_per_day {
        limits.per_day = limit("tokens_per_day", most)?;
    }
    client.limits = Some(Box::new(limits));
    edit.change.set_client_limits(&client.id, limits).await?;
    if let Some(word) = &changes.status {
        client.status = status(word)?;
        edit.change.set_client_status(&client.id, client.status).await?;
    }
    check_one_stays(&registry, standing, Some(&client), state.now())?;
    edit.update("client.update", id, describe(&client, &note)).await
}

/// `DELETE clients/{id}`: also deletes its secrets and entitlements, and thereby revokes its tokens.
pub(crate) async fn delete(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let client = find_client(&registry, &id)?;
    let mut edit = Edit::begin(changing, &headers, view(&registry, client))?;
    operator.check_can_administer(client)?;
    check_one_stays(&registry, client, None, state.now())?;
    edit.change.delete_client(&client.id).await?;
    edit.delete("client.delete", id).await
}

/// Validates a limit. `null` means none.
fn limit(field: &str, Nullable(most): Nullable<i64>) -> Result<Option<i64>, ChangeError> {
    most.map(|most| within(field, most, TOKENS)).transpose()
}

fn methods(names: &[String]) -> Result<ClientAuthMethods, ChangeError> {
    let known = ClientAuthMethod::ALL.map(ClientAuthMethod::as_str).join(" ");
    let parse = |name: &String| {
        let parsed = ClientAuthMethod::parse(name);
        parsed.ok_or_else(|| ChangeError::invalid("auth_methods", format!("`{name}` is not one of: {known}")))
    };
    let parsed: Vec<ClientAuthMethod> = names.iter().map(parse).collect::<Result<_, _>>()?;
    if parsed.is_empty() {
        return Err(ChangeError::invalid("auth_methods", "must not be empty"));
    }
    Ok(parsed.into_iter().collect())
}

/// Returns a client for display.
pub(crate) fn view(registry: &Registry, client: &Client) -> Value {
    describe(client, &registry.note_of_client(client.id.as_str()))
}

fn describe(client: &Client, note: &Note) -> Value {
    let limits = client.limits.as_deref().copied().unwrap_or_default();
    json!({
        "client_id": client.id.as_str(),
        "name": client.name,
        "owner": note.owner,
        "auth_methods": client.auth_methods.iter().map(ClientAuthMethod::as_str).collect::<Vec<_>>(),
        "status": client.status.as_str(),
        "tokens_per_minute": limits.per_minute,
        "tokens_per_day": limits.per_day,
        "entitlements": entitlements::views(client),
        "created_at": note.created_at,
    })
}
