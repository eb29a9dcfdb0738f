//! `--demo`: creates an API, a client and a user on the first start, and finds them again on later starts.

use std::io;
use std::path::Path;

use countersign_protocol::api::{Api, RefreshPolicy, ScopeDefinition};
use countersign_protocol::audience::Audience;
use countersign_protocol::client::{ClientAuthMethod, Credential, Entitlement};
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::ids::{ApiId, ClientId, UserId};
use countersign_protocol::issuer::Issuer;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::base64url;
use countersign_protocol::path_rule::PathRule;
use countersign_protocol::refusal::Refusal;
use countersign_protocol::scope_token::ScopeToken;
use countersign_protocol::secret::{CLIENT_SECRET_PREFIX, Secret};
use countersign_protocol::user::{Login, Role};
use countersign_server::admin::audit;
use countersign_server::admin::audit::Entry;
use countersign_server::admin::change::Author;
use countersign_server::admin::change_error::ChangeError;
use countersign_server::keys::error::KeyRingError;
use countersign_server::keys::first_key::provide_missing;
use countersign_server::keys::sealing::SealError;
use countersign_server::operations::data_directory::{DataDirectory, DirectoryError, write_private};
use countersign_server::operations::demo_file::{DemoFile, FILE};
use countersign_server::people::passwords;
use countersign_server::state::State;
use countersign_store::{Change, NewClient, NewUser, PlaygroundSettings, Saved, StoreError};

use crate::playground::settings;

const API: &str = "oauthclient";
const DEFAULT_SCOPE: &str = "all";
/// The demo's client.
pub(crate) const DEMO_CLIENT: &str = "demo-service";
const USER: &str = "demo";
/// The guide's lifetime, in seconds.
const LIFETIME_S: i64 = 7200;
/// The length of the demo user's password.
const PASSWORD_CHARS: usize = 20;
/// The setting that identifies the password that the demo generated. Any other password was chosen by the user.
const MADE_PASSWORD: &str = "demo_password";

/// Why `--demo` failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// An object of the demo was deleted.
    #[error("--demo: {0} of the demo was deleted; choose another data directory with --data-dir")]
    Gone(&'static str),
    /// Failed to read or write `demo.json`.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Failed to reload the registry.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// Failed to seal a secret.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Failed to create the API's signing key.
    #[error("failed to create a signing key: {}", .0.for_operator())]
    FirstKey(ChangeError),
    /// Failed to hash the password.
    #[error(transparent)]
    Password(#[from] Refusal),
}

/// The demo, as created or found.
#[derive(Clone, Debug)]
pub struct Demo {
    /// The content of `demo.json`.
    pub file: DemoFile,
    /// Why the secret and the password are new although the demo already existed.
    pub renewed: Option<&'static str>,
    /// True if the user has changed the password, which is then not stored in readable form.
    pub has_own_password: bool,
}

/// Creates or finds the demo, and updates `demo.json` and the audience to the current issuer.
pub async fn provide(state: &State, directory: &DataDirectory) -> Result<Demo, DemoError> {
    let path = directory.file(FILE);
    let demo = match find_or_make(state, &path).await? {
        Ok(file) => Demo { has_own_password: file.password.expose().is_empty(), file, renewed: None },
        Err(why) => Demo { file: renew(state).await?, renewed: Some(why), has_own_password: false },
    };
    follow_issuer(state).await?;
    fill_settings(state, &demo.file).await?;
    write_file(&path, &demo.file)?;
    provide_missing(state).await.map_err(DemoError::FirstKey)?;
    Ok(demo)
}

/// Returns the demo, newly created or existing, or why its `demo.json` cannot be used.
async fn find_or_make(state: &State, path: &Path) -> Result<Result<DemoFile, &'static str>, DemoError> {
    if state.registry.current().find_api(API).is_none()
        && let Some(file) = make_all(state).await?
    {
        return Ok(Ok(file));
    }
    let known = read_file(state, path).await?;
    Ok(known.map(|known| describe(&state.issuer, known.client_secret, known.password)))
}

/// Creates everything. Returns `None` if another node on the same database was faster.
async fn make_all(state: &State) -> Result<Option<DemoFile>, DemoError> {
    let (secret, password) = new_secrets(state);
    let password_hash = passwords::hash(&password, &state.entropy.bytes())?;
    let made = mark(&password_hash);
    let id = UserId::from_random(state.entropy.bytes());
    let mut change = state.store.begin_change(state.now()).await?;
    match make(&mut change, &audience(&state.issuer), id, password_hash).await {
        Err(DemoError::Store(StoreError::Taken(_))) => {
            drop(change);
            state.follow().await?;
            return Ok(None);
        }
        made => made?,
    }
    change.insert_credential(&client_id(), &new_credential(state, &secret)).await?;
    change.set_setting(MADE_PASSWORD, &made).await?;
    change.commit().await?;
    state.follow().await?;
    Ok(Some(describe(&state.issuer, secret, password)))
}

/// Reads `demo.json`, or returns why it cannot be used: it is missing, damaged, or has outdated secrets.
async fn read_file(state: &State, path: &Path) -> Result<Result<DemoFile, &'static str>, DemoError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err("was missing")),
        Err(error) => return Err(DirectoryError::Io { path: path.display().to_string(), error }.into()),
    };
    let Ok(file) = serde_json::from_slice::<DemoFile>(&text) else {
        return Ok(Err("was damaged"));
    };
    let hash = file.client_secret.hash();
    let registry = state.registry.current().clone();
    let secret_holds = registry
        .find_client(DEMO_CLIENT)
        .is_some_and(|client| client.credentials.iter().any(|one| one.secret_hash.matches(&hash)));
    let stored = state.store.find_password(USER).await?.map(|stored| stored.password_hash);
    let made = state.store.find_setting(MADE_PASSWORD).await?;
    let is_own = made.is_some_and(|made| stored.as_ref().is_some_and(|stored| mark(stored) != made));
    match (secret_holds, is_own) {
        (true, true) => Ok(Ok(DemoFile { password: Secret::new(""), ..file })),
        (true, false) if passwords::verify(&file.password, stored.as_ref()) => Ok(Ok(file)),
        _ => Ok(Err("had the wrong secret or password")),
    }
}

/// Returns what identifies a stored password.
fn mark(password_hash: &Secret) -> String {
    base64url(password_hash.hash().as_bytes())
}

/// Stores the demo's client in the settings, unless an administrator has chosen another.
async fn fill_settings(state: &State, file: &DemoFile) -> Result<(), DemoError> {
    if state.registry.current().playground().version > 0 {
        return Ok(());
    }
    // Another node on the same database may have stored the same client.
    let mut change = state.store.begin_change(state.now()).await?;
    state.follow().await?;
    let sealed_client_secret = Some(settings::seal(state, &file.client_secret)?);
    let (api_id, client_id, scope) = (file.api.clone(), file.client_id.clone(), DEFAULT_SCOPE.to_owned());
    let new = PlaygroundSettings { version: 0, api_id, client_id, sealed_client_secret, scope };
    if let Saved::As(_) = change.save_playground_settings(&new, false).await? {
        change.commit().await?;
    }
    Ok(state.follow().await?)
}

/// Creates another secret for the demo's client and a new password for its user. This replaces the old password and
/// removes any second factor.
async fn renew(state: &State) -> Result<DemoFile, DemoError> {
    let (secret, password) = new_secrets(state);
    let password_hash = passwords::hash(&password, &state.entropy.bytes())?;
    state.registry.current().find_client(DEMO_CLIENT).ok_or(DemoError::Gone("the client"))?;
    let user = state.store.find_password(USER).await?.ok_or(DemoError::Gone("the user"))?.user_id;
    let mut change = state.store.begin_change(state.now()).await?;
    state.follow().await?;
    change.insert_credential(&client_id(), &new_credential(state, &secret)).await?;
    let now = state.now();
    let at_least = now + state.registry.current().longest_lifetime_s();
    change.set_password(&user, &password_hash, at_least).await?;
    change.delete_second_factors(&user).await?;
    change.set_setting(MADE_PASSWORD, &mark(&password_hash)).await?;
    let entry = Entry { action: "demo.renew", target: user.to_string(), before: None, after: None };
    audit::record(state, &Author::server().actor, &mut change, entry).await?;
    change.commit().await?;
    state.follow().await?;
    Ok(describe(&state.issuer, secret, password))
}

/// Updates the audience, which is below the issuer, when the issuer changes.
async fn follow_issuer(state: &State) -> Result<(), DemoError> {
    let audience = audience(&state.issuer);
    if state.registry.current().find_api(API).is_some_and(|api| api.audience == audience) {
        return Ok(());
    }
    let mut change = state.store.begin_change(state.now()).await?;
    change.set_audience(&api_id(), &audience).await?;
    change.commit().await?;
    Ok(state.follow().await?)
}

fn write_file(path: &Path, file: &DemoFile) -> Result<(), DemoError> {
    // Serializing strings cannot fail.
    let text = serde_json::to_string_pretty(file).unwrap_or_default() + "\n";
    Ok(write_private(path, &text)?)
}

fn new_secrets(state: &State) -> (Secret, Secret) {
    (Secret::from_random(CLIENT_SECRET_PREFIX, &state.entropy.bytes()), new_password(state))
}

fn new_credential(state: &State, secret: &Secret) -> Credential {
    Credential {
        id: format!("cred_{}", base64url(&state.entropy.bytes::<12>())),
        label: "demo".to_owned(),
        secret_hash: secret.hash(),
        not_before: state.now(),
        expires_at: None,
    }
}

async fn make(change: &mut Change, audience: &Audience, id: UserId, password_hash: Secret) -> Result<(), DemoError> {
    let api = api(audience.clone());
    change.insert_api(&api).await?;
    let client = NewClient {
        id: client_id(),
        name: "Demo service".to_owned(),
        owner: "demo".to_owned(),
        auth_methods: ClientAuthMethod::ALL.into_iter().collect(),
    };
    change.insert_client(&client).await?;
    let everything = Entitlement { scopes: api.all_scopes(), grants: GrantType::ALL.into_iter().collect() };
    change.allow_ask(&client.id, &api.id, &everything).await?;
    change.allow_introspect(&client.id, &api.id).await?;
    let login = Login::parse(USER).ok_or(DemoError::Gone("the user"))?;
    change.insert_user(&NewUser { id, login, password_hash, roles: vec![Role::Administrator] }).await?;
    Ok(())
}

fn api(audience: Audience) -> Api {
    let scope = |name: &str, description: &str, rule: &str, is_default| ScopeDefinition {
        token: ScopeToken::parse(name).expect("a scope name"),
        description: description.to_owned(),
        rules: vec![PathRule::parse(rule).expect("a rule")],
        is_default,
    };
    Api {
        id: api_id(),
        audience,
        name: "Demonstration resources".to_owned(),
        scopes: vec![
            scope(DEFAULT_SCOPE, "Everything", "* .*", true),
            scope("reports:read", "Read reports", "GET /resource/reports(/.*)?", false),
            scope("reports:write", "Write reports", "POST /resource/reports(/.*)?", false),
        ],
        grants: GrantType::ALL.into_iter().collect(),
        access_token_lifetime_s: LIFETIME_S,
        algorithm: Algorithm::Rs256,
        refresh: RefreshPolicy::default(),
        epoch: 0,
        removals: Box::default(),
    }
}

fn describe(issuer: &Issuer, client_secret: Secret, password: Secret) -> DemoFile {
    let api = api(audience(issuer));
    DemoFile {
        issuer: issuer.to_string(),
        token_endpoint: issuer.join("/oauth2/token"),
        api: api.id.to_string(),
        audience: api.audience.to_string(),
        scopes: api.scopes.iter().map(|scope| scope.token.to_string()).collect(),
        client_id: DEMO_CLIENT.to_owned(),
        client_secret,
        username: USER.to_owned(),
        password,
    }
}

fn api_id() -> ApiId {
    ApiId::parse(API).expect("an API ID")
}

fn client_id() -> ClientId {
    ClientId::parse(DEMO_CLIENT).expect("a client id")
}

fn audience(issuer: &Issuer) -> Audience {
    Audience::parse(&issuer.join("/resource")).expect("an issuer and a path are an absolute URI")
}

/// An alphabet without ambiguous letters and digits. 20 of 57 characters have 116 bits.
fn new_password(state: &State) -> Secret {
    const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    let mut password = String::new();
    while password.len() < PASSWORD_CHARS {
        for byte in state.entropy.bytes::<32>() {
            // Larger bytes would make the first characters of the alphabet more likely.
            let fair = usize::from(byte) < 256 - 256 % ALPHABET.len();
            if fair && password.len() < PASSWORD_CHARS {
                password.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
            }
        }
    }
    Secret::new(password)
}
