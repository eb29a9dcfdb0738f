//! `/admin/v1/clients/{id}/secrets`: a client can have several secrets, so that they can be rotated without an outage.

use std::sync::Arc;

use axum::extract::{self, Path};
use countersign_protocol::UnixTime;
use countersign_protocol::client::{Client, Credential, MAX_CREDENTIALS};
use countersign_protocol::ids::ClientId;
use countersign_store::{CredentialHistory, CredentialUse};
use http::{HeaderMap, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::answer::{AdminBody, Answer, check_match, created, done, show_with};
use crate::admin::audit::Entry;
use crate::admin::change::Changing;
use crate::admin::change_error::ChangeError;
use crate::admin::fields::{find_client, line};
use crate::admin::new_secret::{NewSecret, answer, moment};
use crate::admin::operator::check_one_stays;
use crate::admin::own_api;
use crate::admin::page::{Query, page};
use crate::admin::rights::Operator;
use crate::document::Nullable;
use crate::state::State;

/// A secret that was used within this time, in seconds, is only revoked with `force`.
const STILL_USED_S: i64 = 3600;
/// An expiry within this time, in seconds, counts as immediate.
pub(super) const SOON_S: i64 = 60;

/// The changes to a secret. Omitted fields stay the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    label: Option<String>,
    /// `null` means never.
    expires_at: Option<Nullable<i64>>,
}

/// `GET clients/{id}/secrets`: the metadata of the secrets.
pub(crate) async fn list(
    extract::State(state): extract::State<Arc<State>>,
    _: Operator,
    Path(id): Path<String>,
    uri: Uri,
) -> Answer {
    let query = Query::parse(&uri, &["after", "limit"])?;
    let registry = state.registry.current().clone();
    let client = find_client(&registry, &id)?;
    let histories = state.store.list_credential_histories(&client.id).await?;
    let views = client.credentials.iter().map(|credential| view(&state, credential, &histories)).collect();
    page(&query, views, |view: &Value| view["id"].as_str().unwrap_or_default(), Value::clone)
}

/// `GET clients/{id}/secrets/{secret}`
pub async fn find(
    extract::State(state): extract::State<Arc<State>>,
    _: Operator,
    Path((id, secret)): Path<(String, String)>,
) -> Answer {
    let registry = state.registry.current().clone();
    let client = find_client(&registry, &id)?;
    let histories = state.store.list_credential_histories(&client.id).await?;
    let credential = find_secret(client, &secret)?;
    Ok(show_with(&view(&state, credential, &histories), &describe(credential)))
}

/// `POST clients/{id}/secrets`: creates another secret. Only this response contains it.
pub(crate) async fn create(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path(id): Path<String>,
    AdminBody(new): AdminBody<NewSecret>,
) -> Answer {
    let mut changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let client = find_client(&registry, &id)?;
    operator.check_can_administer(client)?;
    make_room(&mut changing, client, state.now()).await?;
    let (credential, shown) = new.make(&state)?;
    if new.is_known_to(client) {
        return Err(ChangeError::taken("import", format!("{id} already has this secret")));
    }
    changing.change.insert_credential(&client.id, &credential).await?;
    let after = describe(&credential);
    let (action, target) = ("secret.create", target(client, &credential));
    changing.finish(Entry { action, target, before: None, after: Some(after.clone()) }).await?;
    let shown = answer(&client.id, &credential, shown.as_ref());
    Ok(created(&shown, &after, &address(&client.id, &credential)))
}

/// `PATCH clients/{id}/secrets/{secret}`: changes the label or the expiry.
pub(crate) async fn update(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path((id, secret)): Path<(String, String)>,
    headers: HeaderMap,
    AdminBody(changes): AdminBody<Changes>,
) -> Answer {
    let mut changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let client = find_client(&registry, &id)?;
    operator.check_can_administer(client)?;
    let mut credential = find_secret(client, &secret)?.clone();
    let before = describe(&credential);
    check_match(&headers, &before)?;
    let histories = state.store.list_credential_histories(&client.id).await?;
    if let Some(label) = &changes.label {
        credential.label = line("label", label)?;
        changing.change.set_credential_label(&credential.id, &credential.label).await?;
    }
    if let Some(Nullable(at)) = changes.expires_at {
        credential.expires_at = at.map(|at| moment("expires_at", at, state.now())).transpose()?;
        if credential.expires_at.is_some_and(|end| end < credential.not_before) {
            return Err(ChangeError::invalid("expires_at", "must be later than not_before"));
        }
        let mut dated = client.clone();
        dated
            .credentials
            .iter_mut()
            .filter(|one| one.id == secret)
            .for_each(|one| one.expires_at = credential.expires_at);
        if credential.expires_at.is_some_and(|end| end < state.now() + SOON_S) {
            check_unused(&state, &credential, &histories, "set a later expires_at")?;
        }
        check_one_stays(&registry, client, Some(&dated), state.now())?;
        changing.change.set_credential_expiry(&credential.id, credential.expires_at).await?;
        if credential.expires_at.is_some_and(|end| end <= state.now()) && is_administrator(client) {
            changing.change.raise_client_epoch(&client.id).await?;
        }
    }
    let after = describe(&credential);
    let (action, target) = ("secret.update", target(client, &credential));
    changing.finish(Entry { action, target, before: Some(before), after: Some(after.clone()) }).await?;
    Ok(show_with(&view(&state, &credential, &histories), &after))
}

/// `DELETE clients/{id}/secrets/{secret}?force=true&for_cause=true`: revokes it immediately. If it was used within the
/// last hour, this requires `force`. With `for_cause`, or if the client has access to `admin-api`, it also revokes the
/// client's tokens.
pub(crate) async fn end(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path((id, secret)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let query = Query::parse(&uri, &["force", "for_cause"])?;
    let (force, for_cause) = (query.flag("force")?, query.flag("for_cause")?);
    let changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let client = find_client(&registry, &id)?;
    operator.check_can_administer(client)?;
    let credential = find_secret(client, &secret)?;
    check_match(&headers, &describe(credential))?;
    if !force {
        let histories = state.store.list_credential_histories(&client.id).await?;
        check_unused(&state, credential, &histories, "use `force` (`--force`) to revoke it anyway")?;
    }
    delete(&state, changing, client, credential, for_cause).await?;
    Ok(done())
}

/// Revokes any leaked secret together with the client's tokens.
pub(crate) async fn end_for_cause(state: &State, operator: &Operator, id: &str) -> Result<Value, ChangeError> {
    let mut changing = Changing::begin(state, operator).await?;
    let registry = changing.registry.clone();
    let owner = changing.change.find_credential_owner(id).await?.ok_or_else(|| ChangeError::not_found("secret", id))?;
    let client = find_client(&registry, &owner)?;
    let credential = find_secret(client, id)?;
    operator.check_can_administer(client)?;
    delete(state, changing, client, credential, true).await?;
    Ok(json!({ "kind": "secret", "id": id, "client_id": client.id.as_str() }))
}

async fn delete(
    state: &State,
    mut changing: Changing<'_>,
    client: &Client,
    credential: &Credential,
    for_cause: bool,
) -> Result<(), ChangeError> {
    let mut without = client.clone();
    without.credentials.retain(|other| other.id != credential.id);
    check_one_stays(&changing.registry, client, Some(&without), state.now())?;
    changing.change.delete_credential(&credential.id).await?;
    if for_cause || is_administrator(client) {
        changing.change.raise_client_epoch(&client.id).await?;
    }
    let before = Some(describe(credential));
    let after = for_cause.then(|| json!({ "for_cause": true }));
    changing.finish(Entry { action: "secret.end", target: target(client, credential), before, after }).await
}

/// True for a client with access to `admin-api`. When one of its secrets is revoked, its tokens are revoked too.
/// Otherwise, one of them could create another secret. For an expiry in the future, the registry revokes the tokens.
pub(super) fn is_administrator(client: &Client) -> bool {
    client.find_entitlement(&own_api::api_id()).is_some()
}

/// Fails if the secret was used within the last hour, because its user would be locked out.
pub(super) fn check_unused(
    state: &State,
    credential: &Credential,
    histories: &[CredentialHistory],
    instead: &str,
) -> Result<(), ChangeError> {
    let used = find_use(state, credential, histories);
    match used.map(|used| (state.now() - used.last_used_at, used.address)) {
        Some((ago_s, address)) if ago_s < STILL_USED_S => {
            let id = &credential.id;
            Err(ChangeError::conflict(format!("{id} was used {ago_s} s ago from {address}; {instead}")))
        }
        _ => Ok(()),
    }
}

/// Deletes expired secrets if there are too many, so that scheduled rotations do not stop at the tenth secret.
pub(super) async fn make_room(changing: &mut Changing<'_>, client: &Client, now: UnixTime) -> Result<(), ChangeError> {
    let is_over = |one: &&Credential| one.expires_at.is_some_and(|expires_at| expires_at <= now);
    let (all, over) = (client.credentials.len(), client.credentials.iter().filter(is_over).count());
    if all - over >= MAX_CREDENTIALS {
        let what = format!("{} has reached the limit of {MAX_CREDENTIALS} secrets; revoke one first", client.id);
        return Err(ChangeError::conflict(what));
    }
    if all < MAX_CREDENTIALS {
        return Ok(());
    }
    for one in client.credentials.iter().filter(is_over) {
        changing.change.delete_credential(&one.id).await?;
    }
    // Without the secret, the registry no longer knows when it was revoked.
    if is_administrator(client) { Ok(changing.change.raise_client_epoch(&client.id).await?) } else { Ok(()) }
}

fn find_secret<'c>(client: &'c Client, id: &str) -> Result<&'c Credential, ChangeError> {
    client.credentials.iter().find(|one| one.id == id).ok_or_else(|| ChangeError::not_found("secret", id))
}

fn find_use(state: &State, credential: &Credential, histories: &[CredentialHistory]) -> Option<CredentialUse> {
    let stored = histories.iter().find(|history| history.credential_id == credential.id);
    state.uses.add_to(&credential.id, stored.and_then(|history| history.uses.clone()))
}

pub(super) fn target(client: &Client, credential: &Credential) -> String {
    format!("{} {}", client.id, credential.id)
}

pub(super) fn address(client: &ClientId, credential: &Credential) -> String {
    format!("/admin/v1/clients/{client}/secrets/{}", credential.id)
}

/// Returns its state, which only changes by an administrative change.
pub(super) fn describe(credential: &Credential) -> Value {
    json!({
        "id": credential.id,
        "label": credential.label,
        "not_before": credential.not_before,
        "expires_at": credential.expires_at,
    })
}

/// Returns a secret for display: its state and its use.
fn view(state: &State, credential: &Credential, histories: &[CredentialHistory]) -> Value {
    let history = histories.iter().find(|history| history.credential_id == credential.id);
    let used = find_use(state, credential, histories);
    let mut view = describe(credential);
    view["created_at"] = history.map_or(state.now(), |history| history.created_at).into();
    view["last_used_at"] = used.as_ref().map(|used| used.last_used_at).into();
    view["last_used_from"] = used.as_ref().map(|used| used.address.as_str()).into();
    view["use_count"] = used.map_or(0, |used| used.count).into();
    view
}
