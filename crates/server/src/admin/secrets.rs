//! `/admin/v1/clients/{id}/secrets`: several at once, so that one can follow another without an outage.

use std::sync::Arc;

use axum::extract::{self, Path};
use countersign_protocol::UnixTime;
use countersign_protocol::client::{Client, ClientId, Credential};
use countersign_protocol::jose::base64url;
use countersign_protocol::secret::{CLIENT_SECRET_PREFIX, Secret};
use countersign_store::{CredentialHistory, CredentialUse};
use http::Uri;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::access::Operator;
use crate::admin::answer::{AdminBody, Answer, created, done, show};
use crate::admin::change::{Changing, Entry};
use crate::admin::clients::{check_may_become, check_one_stays};
use crate::admin::fields::{find_client, line, named, within};
use crate::admin::page::{Query, page};
use crate::admin::problem::Problem;
use crate::state::State;

/// The most secrets of a client: a request is compared with each.
const MAX_SECRETS: usize = 10;
/// A secret made elsewhere has at least this many characters, and at most as many as a header holds.
const IMPORTED_CHARS: std::ops::RangeInclusive<usize> = 32..=512;
/// How long an old secret may outlive its successor: up to 90 days.
const OVERLAP_S: std::ops::RangeInclusive<i64> = 0..=90 * 86_400;
const DEFAULT_OVERLAP_S: i64 = 86_400;
/// Dates lie before this, the year 2200.
const LATEST: UnixTime = 7_258_118_400;
/// A secret used within this time is not ended without force, in seconds.
const STILL_USED_S: i64 = 3600;

/// A new secret: made here, or imported.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewSecret {
    label: String,
    not_before: Option<i64>,
    expires_at: Option<i64>,
    import: Option<Secret>,
}

/// A successor for all secrets of a client.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rotation {
    label: String,
    overlap_s: Option<i64>,
}

/// What can be changed of a secret; what is not named stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    label: Option<String>,
    /// `null` for never.
    #[serde(default, deserialize_with = "named")]
    expires_at: Option<Option<i64>>,
}

/// `GET clients/{id}/secrets`: everything but the secrets.
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
pub(crate) async fn find(
    extract::State(state): extract::State<Arc<State>>,
    _: Operator,
    Path((id, secret)): Path<(String, String)>,
) -> Answer {
    let registry = state.registry.current().clone();
    let client = find_client(&registry, &id)?;
    let histories = state.store.list_credential_histories(&client.id).await?;
    Ok(show(&view(&state, find_secret(client, &secret)?, &histories)))
}

/// `POST clients/{id}/secrets`: one more. It is shown in this answer and never again.
pub(crate) async fn create(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path(id): Path<String>,
    AdminBody(new): AdminBody<NewSecret>,
) -> Answer {
    let mut changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let client = find_client(&registry, &id)?;
    check_may_become(&operator, client)?;
    check_room(client)?;
    let (credential, shown) = new.make(&state)?;
    changing.change.insert_credential(&client.id, &credential).await?;
    let after = view(&state, &credential, &[]);
    let entry =
        Entry { action: "secret.create", target: target(client, &credential), before: None, after: Some(after) };
    changing.finish(entry).await?;
    Ok(created(&answer(&client.id, &credential, shown.as_ref()), &address(&client.id, &credential)))
}

impl NewSecret {
    /// The credential, not stored yet, and the secret if it was made here.
    pub(crate) fn make(&self, state: &State) -> Result<(Credential, Option<Secret>), Problem> {
        let now = state.now();
        let not_before = self.not_before.map(|at| within("not_before", at, 0..=LATEST)).transpose()?.unwrap_or(now);
        let expires_at = self.expires_at.map(|at| within("expires_at", at, now + 1..=LATEST)).transpose()?;
        if expires_at.is_some_and(|end| end <= not_before) {
            return Err(Problem::invalid("expires_at", "must lie after not_before"));
        }
        if let Some(imported) = &self.import {
            check_imported(imported)?;
            return Ok((make(state, &self.label, imported, not_before, expires_at)?, None));
        }
        let secret = Secret::from_random(CLIENT_SECRET_PREFIX, &state.entropy.bytes());
        Ok((make(state, &self.label, &secret, not_before, expires_at)?, Some(secret)))
    }
}

/// `POST clients/{id}/secrets/rotate`: a new secret, and an end for the old ones after the overlap.
pub(crate) async fn rotate(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path(id): Path<String>,
    AdminBody(asked): AdminBody<Rotation>,
) -> Answer {
    let mut changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let client = find_client(&registry, &id)?;
    check_may_become(&operator, client)?;
    check_room(client)?;
    let overlap_s = within("overlap_s", asked.overlap_s.unwrap_or(DEFAULT_OVERLAP_S), OVERLAP_S)?;
    let (now, end) = (state.now(), state.now() + overlap_s);
    let secret = Secret::from_random(CLIENT_SECRET_PREFIX, &state.entropy.bytes());
    let credential = make(&state, &asked.label, &secret, now, None)?;
    changing.change.insert_credential(&client.id, &credential).await?;
    let outlive = |old: &&Credential| old.expires_at.is_none_or(|expires_at| expires_at > end);
    let dated: Vec<&str> = client.credentials.iter().filter(outlive).map(|old| old.id.as_str()).collect();
    for old in &dated {
        changing.change.set_credential_expiry(old, Some(end)).await?;
    }
    let after = json!({ "new": view(&state, &credential, &[]), "ended_at": end, "old": dated });
    let entry =
        Entry { action: "secret.rotate", target: target(client, &credential), before: None, after: Some(after) };
    changing.finish(entry).await?;
    let mut answer = answer(&client.id, &credential, Some(&secret));
    answer["old"] = json!({ "ids": dated, "expires_at": end });
    Ok(created(&answer, &address(&client.id, &credential)))
}

/// `PATCH clients/{id}/secrets/{secret}`: another label, or another end.
pub(crate) async fn update(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path((id, secret)): Path<(String, String)>,
    AdminBody(changes): AdminBody<Changes>,
) -> Answer {
    let mut changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let client = find_client(&registry, &id)?;
    check_may_become(&operator, client)?;
    let mut credential = find_secret(client, &secret)?.clone();
    let before = view(&state, &credential, &[]);
    if let Some(label) = &changes.label {
        credential.label = line("label", label)?;
        changing.change.set_credential_label(&credential.id, &credential.label).await?;
    }
    if let Some(at) = changes.expires_at {
        credential.expires_at = at.map(|at| within("expires_at", at, state.now()..=LATEST)).transpose()?;
        let mut dated = client.clone();
        dated
            .credentials
            .iter_mut()
            .filter(|one| one.id == secret)
            .for_each(|one| one.expires_at = credential.expires_at);
        check_one_stays(&registry, client, Some(&dated), state.now())?;
        changing.change.set_credential_expiry(&credential.id, credential.expires_at).await?;
    }
    let after = view(&state, &credential, &[]);
    let (action, target) = ("secret.update", target(client, &credential));
    changing.finish(Entry { action, target, before: Some(before), after: Some(after.clone()) }).await?;
    Ok(show(&after))
}

/// `DELETE clients/{id}/secrets/{secret}?force=true&for_cause=true`: ends it at once. One that was used within the hour
/// is ended only by force; for cause, the client's tokens end too.
pub(crate) async fn end(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path((id, secret)): Path<(String, String)>,
    uri: Uri,
) -> Answer {
    let query = Query::parse(&uri, &["force", "for_cause"])?;
    let (force, for_cause) = (query.flag("force")?, query.flag("for_cause")?);
    let changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let client = find_client(&registry, &id)?;
    check_may_become(&operator, client)?;
    let credential = find_secret(client, &secret)?;
    let histories = state.store.list_credential_histories(&client.id).await?;
    let used = find_use(&state, credential, &histories);
    let recent = used.filter(|used| state.now() - used.last_used_at < STILL_USED_S);
    if let Some(used) = recent.filter(|_| !force) {
        let ago_s = state.now() - used.last_used_at;
        let what = format!("it was used {ago_s} s ago from {}; `force` (`--force`) ends it all the same", used.address);
        return Err(Problem::conflict(what));
    }
    delete(&state, changing, client, credential, for_cause).await?;
    Ok(done())
}

/// Ends a leaked secret, whoever's it is, with the client's tokens.
pub(crate) async fn end_for_cause(state: &State, operator: &Operator, id: &str) -> Result<Value, Problem> {
    let changing = Changing::begin(state, operator).await?;
    let registry = changing.registry.clone();
    let mut clients = registry.clients();
    let found = clients.find_map(|client| Some((client, client.credentials.iter().find(|one| one.id == id)?)));
    let (client, credential) = found.ok_or_else(|| Problem::not_found("secret", id))?;
    check_may_become(operator, client)?;
    delete(state, changing, client, credential, true).await?;
    Ok(json!({ "kind": "secret", "id": id, "client_id": client.id.as_str() }))
}

async fn delete(
    state: &State,
    mut changing: Changing<'_>,
    client: &Client,
    credential: &Credential,
    for_cause: bool,
) -> Result<(), Problem> {
    let mut without = client.clone();
    without.credentials.retain(|other| other.id != credential.id);
    check_one_stays(&changing.registry, client, Some(&without), state.now())?;
    changing.change.delete_credential(&credential.id).await?;
    if for_cause {
        changing.change.raise_client_epoch(&client.id).await?;
    }
    let before = Some(view(state, credential, &[]));
    let after = for_cause.then(|| json!({ "for_cause": true }));
    changing.finish(Entry { action: "secret.end", target: target(client, credential), before, after }).await
}

fn make(
    state: &State,
    label: &str,
    secret: &Secret,
    not_before: UnixTime,
    expires_at: Option<UnixTime>,
) -> Result<Credential, Problem> {
    let id = format!("cred_{}", base64url(&state.entropy.bytes::<12>()));
    Ok(Credential { id, label: line("label", label)?, secret_hash: secret.hash(), not_before, expires_at })
}

fn check_room(client: &Client) -> Result<(), Problem> {
    if client.credentials.len() < MAX_SECRETS {
        return Ok(());
    }
    Err(Problem::conflict(format!("{} has {MAX_SECRETS} secrets, which is the most: end one first", client.id)))
}

fn check_imported(secret: &Secret) -> Result<(), Problem> {
    let text = secret.expose();
    if !IMPORTED_CHARS.contains(&text.chars().count()) || text.chars().any(char::is_control) {
        let (fewest, most) = IMPORTED_CHARS.into_inner();
        return Err(Problem::invalid(
            "import",
            format!("must have {fewest} to {most} characters, none of them control"),
        ));
    }
    Ok(())
}

fn find_secret<'c>(client: &'c Client, id: &str) -> Result<&'c Credential, Problem> {
    client.credentials.iter().find(|one| one.id == id).ok_or_else(|| Problem::not_found("secret", id))
}

fn find_use(state: &State, credential: &Credential, histories: &[CredentialHistory]) -> Option<CredentialUse> {
    let stored = histories.iter().find(|history| history.credential_id == credential.id);
    state.uses.add_to(&credential.id, stored.and_then(|history| history.uses.clone()))
}

fn target(client: &Client, credential: &Credential) -> String {
    format!("{} {}", client.id, credential.id)
}

fn address(client: &ClientId, credential: &Credential) -> String {
    format!("/admin/v1/clients/{client}/secrets/{}", credential.id)
}

/// The one answer that has the secret in it.
pub(crate) fn answer(client: &ClientId, credential: &Credential, secret: Option<&Secret>) -> Value {
    let mut answer = json!({
        "client_id": client.as_str(),
        "secret_id": credential.id,
        "not_before": credential.not_before,
        "expires_at": credential.expires_at,
    });
    if let Some(secret) = secret {
        answer["client_secret"] = secret.expose().into();
    }
    answer
}

fn view(state: &State, credential: &Credential, histories: &[CredentialHistory]) -> Value {
    let history = histories.iter().find(|history| history.credential_id == credential.id);
    let used = find_use(state, credential, histories);
    json!({
        "id": credential.id,
        "label": credential.label,
        "created_at": history.map_or(state.now(), |history| history.created_at),
        "not_before": credential.not_before,
        "expires_at": credential.expires_at,
        "last_used_at": used.as_ref().map(|used| used.last_used_at),
        "last_used_from": used.as_ref().map(|used| used.address.as_str()),
        "use_count": used.map_or(0, |used| used.count),
    })
}
