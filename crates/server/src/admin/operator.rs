//! The operator: a client with all scopes of `admin-api`, whose secret is in `operator.json` (0600).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use countersign_protocol::UnixTime;
use countersign_protocol::api::Api;
use countersign_protocol::audience::Audience;
use countersign_protocol::client::{Client, ClientAuthMethod, Credential, Entitlement, TokenLimits};
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::ids::{ApiId, ClientId};
use countersign_protocol::secret::{CLIENT_SECRET_PREFIX, Secret};
use countersign_protocol::status::Status;
use countersign_store::NewClient;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::admin::audit::Entry;
use crate::admin::change::{Author, Changing};
use crate::admin::change_error::ChangeError;
use crate::admin::new_secret::{make_credential, make_successor};
use crate::admin::own_api::{self, all_scopes};
use crate::admin::scopes;
use crate::operations::data_directory::{DataDirectory, DirectoryError, write_private};
use crate::registry::Registry;
use crate::state::State;

/// The name of the file in the data directory.
pub const FILE: &str = "operator.json";
/// The client_id of the operator.
pub const CLIENT: &str = "operator";
const NAME: &str = "The first administrator";
/// The setting with the version of the API's scopes. Without it, the version is 1.
const SCOPES_VERSION_SETTING: &str = "admin_scopes_version";
/// The minimum remaining validity of the last administrator's credentials, in seconds. A secret that is about to expire
/// does not prevent a lockout.
pub(crate) const STAYS_S: i64 = 7 * 86_400;

/// Why there is no operator.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// Failed to read or write the file.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The file is damaged.
    #[error("{0}: is not valid; replace it with --new-operator")]
    Damaged(String),
    /// The change failed.
    #[error("operator: {}", .0.for_operator())]
    Problem(#[from] ChangeError),
}

/// `operator.json`: the credentials of the administrative commands.
#[derive(Debug, Serialize, Deserialize)]
pub struct OperatorFile {
    /// The issuer.
    pub issuer: String,
    /// The client_id.
    pub client_id: String,
    /// The secret.
    #[serde(serialize_with = "expose")]
    pub client_secret: Secret,
    /// Members that others have added. They are kept when the file is rewritten.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// Serializes the secret in readable form, because commands need it.
fn expose<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// Returns until when the client can administer everything without a gap, with HTTP Basic and without token limits, as
/// our commands do. Returns now if it cannot.
pub(crate) fn administers_until(client: &Client, now: UnixTime) -> UnixTime {
    let may_all = |(api, entitlement): &(ApiId, Entitlement)| {
        api.as_str() == own_api::API
            && entitlement.grants.contains(GrantType::ClientCredentials)
            && all_scopes().is_subset(&entitlement.scopes)
    };
    let is_unlimited = client.limits.as_deref().copied().unwrap_or_default() == TokenLimits::default();
    let may = client.status == Status::Active
        && is_unlimited
        && client.auth_methods.contains(ClientAuthMethod::ClientSecretBasic)
        && client.may_ask.iter().any(may_all);
    if !may {
        return now;
    }
    let end = |credential: &Credential| credential.expires_at.unwrap_or(UnixTime::MAX);
    let mut until = now;
    while let Some(next) = client.credentials.iter().filter(|one| one.not_before <= until).map(end).max() {
        if next <= until {
            break;
        }
        until = next;
    }
    until
}

/// Creates `admin-api` and its operator on the first start of a database, or a new secret if requested. Updates the API
/// and the file to the current issuer.
pub(crate) async fn provide(state: &State, directory: &DataDirectory, want_new: bool) -> Result<(), OperatorError> {
    let path = directory.file(FILE);
    let audience =
        Audience::parse(&state.issuer.join(own_api::PATH)).expect("an issuer and a path are an absolute URI");
    let api = own_api::api(audience);
    let known = state.registry.current().find_api(own_api::API).cloned();
    match known {
        None => make(state, &path, &api, want_new).await?,
        Some(known) => {
            follow(state, &known, &api).await?;
            if want_new {
                renew(state, &path).await?;
            }
        }
    }
    follow_issuer(state, &path)
}

/// Creates everything. Writes the file first, because a database without its file would have lost its operator. Keeps
/// an existing file and uses its secret: either a first start wrote it and was killed, or it belongs to a lost database
/// that may come back.
async fn make(state: &State, path: &Path, api: &Api, want_new: bool) -> Result<(), OperatorError> {
    let mut changing = Changing::begin(state, Author::server()).await?;
    if changing.registry.find_api(own_api::API).is_some() {
        // Another node on the same database was faster, and has the file.
        return Ok(());
    }
    let change = &mut changing.change;
    change.insert_api(api).await.map_err(ChangeError::from)?;
    let version = own_api::SCOPES_VERSION.to_string();
    change.set_setting(SCOPES_VERSION_SETTING, &version).await.map_err(ChangeError::from)?;
    let auth_methods = ClientAuthMethod::ALL.into_iter().collect();
    let client = NewClient { id: client_id(), name: NAME.to_owned(), owner: String::new(), auth_methods };
    change.insert_client(&client).await.map_err(ChangeError::from)?;
    change.allow_ask(&client.id, &api.id, &everything()).await.map_err(ChangeError::from)?;
    match if want_new { None } else { read_secret(path)? } {
        Some(secret) => {
            let credential = make_credential(state, FILE, &secret)?;
            change.insert_credential(&client.id, &credential).await.map_err(ChangeError::from)?;
        }
        None => {
            let secret = insert_secret(state, &mut changing).await?;
            write(path, &new_file(state, secret))?;
        }
    }
    let after = json!({ "client_id": CLIENT, "scopes": all_scopes().to_string() });
    let (action, target) = ("operator.create", CLIENT.to_owned());
    Ok(changing.finish(Entry { action, target, before: None, after: Some(after) }).await?)
}

/// Revokes the operator's secrets and tokens, creates a new secret, and restores all rights that the operator may have
/// lost.
async fn renew(state: &State, path: &Path) -> Result<(), OperatorError> {
    let mut changing = Changing::begin(state, Author::server()).await?;
    let known = changing.registry.find_client(CLIENT).cloned();
    let change = &mut changing.change;
    let name = known.as_ref().map_or_else(|| NAME.to_owned(), |known| known.name.clone());
    let owner = changing.registry.note_of_client(CLIENT).owner;
    let auth_methods = ClientAuthMethod::ALL.into_iter().collect();
    let client = NewClient { id: client_id(), name, owner, auth_methods };
    match known {
        Some(_) => change.update_client(&client).await,
        None => change.insert_client(&client).await,
    }
    .map_err(ChangeError::from)?;
    change.set_client_limits(&client.id, TokenLimits::default()).await.map_err(ChangeError::from)?;
    change.delete_credentials(&client_id()).await.map_err(ChangeError::from)?;
    change.raise_client_epoch(&client_id()).await.map_err(ChangeError::from)?;
    change.set_client_status(&client_id(), Status::Active).await.map_err(ChangeError::from)?;
    change.allow_ask(&client_id(), &own_api::api_id(), &everything()).await.map_err(ChangeError::from)?;
    let secret = insert_secret(state, &mut changing).await?;
    // A damaged file is replaced.
    let others = read(path).ok().flatten().map(|file| file.others).unwrap_or_default();
    write(path, &OperatorFile { others, ..new_file(state, secret) })?;
    let before = known.map(|client| json!({ "secrets": client.credentials.len() }));
    let after = Some(json!({ "secrets": 1 }));
    Ok(changing.finish(Entry { action: "operator.renew", target: CLIENT.to_owned(), before, after }).await?)
}

async fn insert_secret(state: &State, changing: &mut Changing<'_>) -> Result<Secret, ChangeError> {
    let (credential, secret) = make_successor(state, FILE)?;
    changing.change.insert_credential(&client_id(), &credential).await?;
    Ok(secret)
}

/// Updates the audience to the issuer. Adds the scopes of this version, also to clients that had all scopes before.
/// Keeps the scopes of a newer version.
async fn follow(state: &State, known: &Api, api: &Api) -> Result<(), ChangeError> {
    if known.audience == api.audience && shown(known) == shown(api) {
        return Ok(());
    }
    let mut changing = Changing::begin(state, Author::server()).await?;
    // Checked under the lock, because a node of a newer version may have written it just now.
    let version = state.store.find_setting(SCOPES_VERSION_SETTING).await?;
    let is_older = version.and_then(|version| version.parse().ok()).unwrap_or(1) > own_api::SCOPES_VERSION;
    if known.audience == api.audience && is_older {
        return Ok(());
    }
    if let Some(other) = changing.registry.find_api_by_audience(api.audience.as_str()).filter(|it| it.id != api.id) {
        let what =
            format!("{} has the audience {}, which is reserved for admin-api; change it", other.id, api.audience);
        return Err(ChangeError::conflict(what));
    }
    changing.change.set_audience(&api.id, &api.audience).await?;
    if !is_older {
        replace_scopes(&mut changing, known, api).await?;
    }
    let view = |api: &Api| json!({ "audience": api.audience.as_str(), "scopes": api.all_scopes().to_string() });
    let (before, after) = (
        Some(view(known)),
        Some(view(&Api { scopes: if is_older { &known.scopes } else { &api.scopes }.clone(), ..api.clone() })),
    );
    changing.finish(Entry { action: "operator.follow", target: own_api::API.to_owned(), before, after }).await
}

async fn replace_scopes(changing: &mut Changing<'_>, known: &Api, api: &Api) -> Result<(), ChangeError> {
    for scope in &known.scopes {
        changing.change.delete_scope(&api.id, &scope.token).await?;
    }
    for scope in &api.scopes {
        changing.change.put_scope(&api.id, scope).await?;
    }
    changing.change.set_setting(SCOPES_VERSION_SETTING, &own_api::SCOPES_VERSION.to_string()).await?;
    let held_all = |client: &&Client| {
        client.find_entitlement(&api.id).is_some_and(|entitlement| known.all_scopes().is_subset(&entitlement.scopes))
    };
    let ids: Vec<ClientId> =
        changing.registry.administrators().filter(held_all).map(|client| client.id.clone()).collect();
    for id in &ids {
        changing.change.allow_ask(id, &api.id, &everything()).await?;
    }
    Ok(())
}

/// Returns the names of an API's scopes.
fn shown(api: &Api) -> BTreeMap<&str, Value> {
    api.scopes.iter().map(|scope| (scope.token.as_str(), scopes::view(scope))).collect()
}

/// Updates the issuer in the file. Does nothing without a file.
fn follow_issuer(state: &State, path: &Path) -> Result<(), OperatorError> {
    match read(path)? {
        Some(file) if file.issuer != state.issuer.as_str() => {
            write(path, &OperatorFile { issuer: state.issuer.to_string(), ..file })
        }
        _ => Ok(()),
    }
}

/// Returns the secret in the file, if this server generated it. Returns `None` without a file.
fn read_secret(path: &Path) -> Result<Option<Secret>, OperatorError> {
    let is_ours = |file: &OperatorFile| {
        file.client_id == CLIENT && Secret::is_well_formed(CLIENT_SECRET_PREFIX, file.client_secret.expose())
    };
    match read(path)? {
        Some(file) if !is_ours(&file) => Err(OperatorError::Damaged(path.display().to_string())),
        file => Ok(file.map(|file| file.client_secret)),
    }
}

/// Reads the file. Returns `None` if it does not exist.
fn read(path: &Path) -> Result<Option<OperatorFile>, OperatorError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DirectoryError::Io { path: path.display().to_string(), error }.into()),
    };
    let file = serde_json::from_slice(&text).map_err(|_| OperatorError::Damaged(path.display().to_string()))?;
    Ok(Some(file))
}

fn new_file(state: &State, client_secret: Secret) -> OperatorFile {
    OperatorFile { issuer: state.issuer.to_string(), client_id: CLIENT.to_owned(), client_secret, others: Map::new() }
}

fn write(path: &Path, file: &OperatorFile) -> Result<(), OperatorError> {
    // Serializing strings cannot fail.
    let text = serde_json::to_string_pretty(file).unwrap_or_default() + "\n";
    Ok(write_private(path, &text)?)
}

fn everything() -> Entitlement {
    Entitlement { scopes: all_scopes(), grants: [GrantType::ClientCredentials].into_iter().collect() }
}

fn client_id() -> ClientId {
    ClientId::parse(CLIENT).expect("a client id")
}

/// Fails if no administrator would remain after the change of a client (`None`: deleted).
pub(crate) fn check_one_stays(
    registry: &Registry,
    client: &Client,
    after: Option<&Client>,
    now: UnixTime,
) -> Result<(), ChangeError> {
    let until = |client: &Client| administers_until(client, now);
    let (before, after) = (until(client), after.map_or(now, until));
    let others = || registry.administrators().any(|other| other.id != client.id && until(other) >= now + STAYS_S);
    if after < before && after < now + STAYS_S && !others() {
        let what = format!("{} is the last client with all scopes of admin-api; create another one first", client.id);
        return Err(ChangeError::conflict(what));
    }
    Ok(())
}
