//! `--demo`: an Api, a client and a user to try everything with, made once and found again at each start.

use std::io;

use countersign_protocol::api::{Api, ApiId, Audience, RefreshPolicy, ScopeDefinition};
use countersign_protocol::client::{ClientAuthMethod, ClientId, Credential, Entitlement};
use countersign_protocol::grant::GrantType;
use countersign_protocol::issuer::Issuer;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::base64url;
use countersign_protocol::path_rule::PathRule;
use countersign_protocol::refusal::Refusal;
use countersign_protocol::scope::ScopeToken;
use countersign_protocol::secret::{CLIENT_SECRET_PREFIX, Secret};
use countersign_protocol::user::{Login, Role, UserId};
use countersign_store::{Change, NewClient, NewUser, StoreError};
use serde::{Deserialize, Serialize};

use crate::data_directory::{DataDirectory, DirectoryError, write_private};
use crate::key_ring::KeyRingError;
use crate::passwords;
use crate::state::State;

const API: &str = "oauthclient";
const CLIENT: &str = "demo-service";
const USER: &str = "demo";
/// The guide's lifetime, in seconds.
const LIFETIME_S: i64 = 7200;
/// Characters of the demo user's password.
const PASSWORD_CHARS: usize = 20;
/// The setting that says whether the database was first started with `--demo`.
const IS_DEMO: &str = "is_demo";

/// Why `--demo` cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The database was first started without it.
    #[error("--demo: this data directory was first started without --demo; choose another by --data-dir")]
    NotADemo,
    /// Something of the demo was deleted since.
    #[error("--demo: {0} of the demo is gone; choose another data directory by --data-dir")]
    Gone(&'static str),
    /// `demo.json` cannot be read or written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry cannot be read again.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// The password cannot be hashed.
    #[error(transparent)]
    Password(#[from] Refusal),
}

/// `demo.json`: all that is needed to try both flows. It is private (0600).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct DemoFile {
    pub issuer: String,
    pub token_endpoint: String,
    pub api: String,
    pub audience: String,
    pub scopes: Vec<String>,
    pub client_id: String,
    #[serde(with = "exposed")]
    pub client_secret: Secret,
    pub username: String,
    #[serde(with = "exposed")]
    pub password: Secret,
}

/// The one file that holds secrets in the clear, because its reader needs them.
mod exposed {
    use countersign_protocol::secret::Secret;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

/// What `--demo` made or found.
#[derive(Clone, Debug)]
pub struct Demo {
    /// The content of `demo.json`.
    pub file: DemoFile,
    /// `demo.json` was gone, so the secret and the password are new.
    pub renewed: bool,
}

/// Err if `--demo` is wanted on a database that was first started without it.
pub(crate) async fn check_allowed(state: &State, want_demo: bool) -> Result<(), DemoError> {
    let standing = state.store.claim_setting(IS_DEMO, if want_demo { "true" } else { "false" }).await?;
    if want_demo && standing != "true" { Err(DemoError::NotADemo) } else { Ok(()) }
}

/// Makes the demo or finds it, and brings `demo.json` and the audience to today's issuer.
pub(crate) async fn provide(state: &State, directory: &DataDirectory) -> Result<Demo, DemoError> {
    let path = directory.file("demo.json");
    let known = match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str::<DemoFile>(&text).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(DirectoryError::Io { path: path.display().to_string(), error }.into()),
    };
    let is_made = state.registry.current().find_api(API).is_some();
    let audience = audience(&state.issuer);
    let demo = match known.filter(|_| is_made) {
        Some(file) => Demo { file: describe(&state.issuer, file.client_secret, file.password), renewed: false },
        None => {
            let secret = Secret::from_random(CLIENT_SECRET_PREFIX, &state.entropy.bytes());
            let password = new_password(state);
            write_secrets(state, is_made, &secret, &password).await?;
            let file = describe(&state.issuer, secret, password);
            Demo { file, renewed: is_made }
        }
    };
    let moved = state.registry.current().find_api(API).is_some_and(|api| api.audience != audience);
    if moved {
        let mut change = state.store.begin_change().await?;
        change.set_audience(&api_id(), &audience).await?;
        change.commit().await?;
    }
    write_private(&path, &(serde_json::to_string_pretty(&demo.file).unwrap_or_default() + "\n"))?;
    state.follow().await?;
    Ok(demo)
}

/// Makes everything with this secret and password, or gives them to what was made before.
async fn write_secrets(state: &State, is_made: bool, secret: &Secret, password: &Secret) -> Result<(), DemoError> {
    let password_hash = passwords::hash(password, &state.entropy.bytes())?;
    let credential = Credential {
        id: format!("cred_{}", base64url(&state.entropy.bytes::<12>())),
        label: "demo".to_owned(),
        secret_hash: secret.hash(),
        not_before: state.now(),
        expires_at: None,
    };
    let mut change = state.store.begin_change().await?;
    if is_made {
        let user = find_user(state).await?;
        state.registry.current().find_client(CLIENT).ok_or(DemoError::Gone("the client"))?;
        change.delete_credentials(&client_id()).await?;
        change.set_password(&user, &password_hash).await?;
    } else {
        let id = UserId::from_random(state.entropy.bytes());
        make(&mut change, &audience(&state.issuer), id, password_hash).await?;
    }
    change.insert_credential(&client_id(), &credential).await?;
    Ok(change.commit().await?)
}

async fn find_user(state: &State) -> Result<UserId, DemoError> {
    let found = state.store.find_password(USER).await?;
    found.map(|stored| stored.user_id).ok_or(DemoError::Gone("the user"))
}

async fn make(change: &mut Change, audience: &Audience, id: UserId, password_hash: String) -> Result<(), DemoError> {
    let api = api(audience.clone());
    change.insert_api(&api).await?;
    let client = NewClient {
        id: client_id(),
        name: "Demo service".to_owned(),
        owner: "demo".to_owned(),
        auth_methods: ClientAuthMethod::ALL.to_vec(),
    };
    change.insert_client(&client).await?;
    let everything = Entitlement { scopes: api.all_scopes(), grants: GrantType::ALL.to_vec() };
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
            scope("all", "Everything", "* .*", true),
            scope("reports:read", "Read reports", "GET /resource/reports(/.*)?", false),
            scope("reports:write", "Write reports", "POST /resource/reports(/.*)?", false),
        ],
        grants: GrantType::ALL.to_vec(),
        access_token_lifetime_s: LIFETIME_S,
        algorithm: Algorithm::Rs256,
        refresh: RefreshPolicy::default(),
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
        client_id: CLIENT.to_owned(),
        client_secret,
        username: USER.to_owned(),
        password,
    }
}

fn api_id() -> ApiId {
    ApiId::parse(API).expect("an Api id")
}

fn client_id() -> ClientId {
    ClientId::parse(CLIENT).expect("a client id")
}

fn audience(issuer: &Issuer) -> Audience {
    Audience::parse(&issuer.join("/resource")).expect("an issuer and a path are an absolute URI")
}

/// Letters and digits that are not mistaken for each other; 20 of 57 are 116 bits.
fn new_password(state: &State) -> Secret {
    const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    let mut password = String::new();
    while password.len() < PASSWORD_CHARS {
        for byte in state.entropy.bytes::<32>() {
            // Bytes beyond the last whole multiple of the alphabet would favour its beginning.
            let fair = usize::from(byte) < 256 - 256 % ALPHABET.len();
            if fair && password.len() < PASSWORD_CHARS {
                password.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
            }
        }
    }
    Secret::new(password)
}
