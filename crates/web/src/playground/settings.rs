//! The playground's settings: the client, the API and the scopes to request. The tenant is this server.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract;
use countersign_protocol::client::ClientAuthMethod;
use countersign_protocol::client_authentication::ClientAuthentication;
use countersign_protocol::refusal::Refusal;
use countersign_protocol::scope::{MAX_SCOPE_TOKENS, Scope};
use countersign_protocol::secret::Secret;
use countersign_server::admin::audit::Entry;
use countersign_server::admin::change::{Author, Changing};
use countersign_server::admin::{operator, own_api};
use countersign_server::keys::sealing::{PLAYGROUND_SECRET, SealError};
use countersign_server::oauth::authenticate;
use countersign_server::registry::Registry;
use countersign_server::state::State;
use countersign_store::{PlaygroundSettings, Saved};
use http::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::api::access::{Administrator, Anybody};
use crate::api::envelope::{Answer, Success};
use crate::api::fault::{Fault, failed, to_the_end};
use crate::api::json_body::JsonBody;
use crate::session::{self, SessionKey, SessionState};

/// The placeholder for a write-only field that is not set.
const SET: &str = "set";
const NOT_SET: &str = "not set";
/// The maximum length of an Application ID or user name, in characters.
const MAX_TEXT_CHARS: usize = 256;
/// The minimum and maximum length of the password (the guide's messages).
const PASSWORD_CHARS: (usize, usize) = (8, 64);

/// The settings for the flows. Fields that are not set are empty.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `oauthAppId`
    pub(crate) api_id: String,
    /// `oauthServiceUserName`
    pub(crate) client_id: String,
    /// `oauthServiceUserPassword`
    pub(crate) client_secret: Option<Secret>,
    /// `oauthScopesSupported`
    pub(crate) scope: String,
}

impl Settings {
    /// Loads the settings from the registry and opens the sealed secret.
    pub(crate) fn load(state: &State) -> Result<Self, SealError> {
        let PlaygroundSettings { api_id, client_id, sealed_client_secret, scope, .. } =
            state.registry.current().playground().clone();
        let open = |sealed: Vec<u8>| state.sealing_keys().open(PLAYGROUND_SECRET.0, PLAYGROUND_SECRET.1, &sealed);
        let opened = sealed_client_secret.map(open).transpose()?;
        let client_secret = opened.map(|bytes| Secret::new(String::from_utf8_lossy(&bytes)));
        // Values that only an older version accepted count as not set.
        let api_id = Some(api_id).filter(|id| id != own_api::API).unwrap_or_default();
        let client_id = Some(client_id).filter(|id| id != operator::CLIENT).unwrap_or_default();
        Ok(Self { api_id, client_id, client_secret, scope })
    }

    /// Returns the client secret if all required settings are present, or names the missing ones with the guide's keys.
    pub(crate) fn find_secret(&self) -> Result<Secret, Fault> {
        let needed = [
            ("oauthAppId", self.api_id.is_empty()),
            ("oauthServiceUserName", self.client_id.is_empty()),
            ("oauthServiceUserPassword", self.client_secret.is_none()),
        ];
        let missing: Vec<&str> = needed.into_iter().filter(|(_, is_missing)| *is_missing).map(|(key, _)| key).collect();
        self.client_secret.clone().filter(|_| missing.is_empty()).ok_or_else(|| {
            Fault::bad_request(format!("Settings: an administrator must first set {}", missing.join(", ")))
        })
    }
}

/// Seals a client secret for the settings.
pub(crate) fn seal(state: &State, secret: &Secret) -> Result<Vec<u8>, SealError> {
    state.sealing_keys().key().seal(
        PLAYGROUND_SECRET.0,
        PLAYGROUND_SECRET.1,
        secret.expose().as_bytes(),
        state.entropy.bytes(),
    )
}

/// `GET getUISettings`: what a page needs before sign-in. Starts an anonymous session if there is none.
pub(crate) async fn ui_settings(
    extract::State(state): extract::State<Arc<State>>,
    Anybody { session_state }: Anybody,
) -> Answer {
    let settings = Settings::load(&state)?;
    let result = json!({
        "tenantUrl": state.issuer.as_str(),
        "oauthAppId": settings.api_id,
        "oauthScopesSupported": settings.scope,
    });
    let key = match &session_state {
        SessionState::Unknown => SessionKey::new_anonymous(&state),
        SessionState::Anonymous(key) => key.clone(),
        SessionState::SignedIn(session) => session.key.clone(),
    };
    Ok(Success::new(result).with_cookies(session::cookies(&state, &key)))
}

/// `GET getSettings`: everything except the secret, which is never returned.
pub(crate) async fn get(extract::State(state): extract::State<Arc<State>>, _: Administrator) -> Answer {
    Ok(Success::new(view(&state, state.registry.current().playground())))
}

/// Returns the settings for display and for the audit log, which only show whether a secret is set.
fn view(state: &State, settings: &PlaygroundSettings) -> Value {
    let secret = if settings.sealed_client_secret.is_some() { SET } else { NOT_SET };
    json!({
        "version": settings.version,
        "tenantUrl": state.issuer.as_str(),
        "oauthAppId": settings.api_id,
        "oauthServiceUserName": settings.client_id,
        "oauthServiceUserPassword": secret,
        "oauthScopesSupported": settings.scope,
    })
}

/// `PUT updateSettings`: replaces all settings. If the secret is omitted, the stored one is kept.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewSettings {
    #[serde(default, deserialize_with = "not_null")]
    version: Option<i64>,
    #[serde(default)]
    tenant_url: Option<String>,
    oauth_app_id: String,
    oauth_service_user_name: String,
    #[serde(default)]
    oauth_service_user_password: Option<Secret>,
    #[serde(default)]
    oauth_scopes_supported: String,
}

/// Reads a field that may be missing, but not `null`.
fn not_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    i64::deserialize(deserializer).map(Some)
}

/// Saves the settings in one transaction, unless someone saved others since the given version.
pub(crate) async fn update(
    extract::State(state): extract::State<Arc<State>>,
    Administrator { author, caller }: Administrator,
    JsonBody(new): JsonBody<NewSettings>,
) -> Answer {
    to_the_end(async move { save(&state, author, caller.address, new).await }).await
}

/// Checks the user's rights again under the global change lock, then checks the secret and saves.
async fn save(state: &State, author: Author, address: IpAddr, new: NewSettings) -> Answer {
    let is_set = state.registry.current().playground().sealed_client_secret.is_some();
    let (secret, scope) = check(state, &new, is_set)?;
    let mut changing = Changing::begin(state, author).await?;
    let before = changing.registry.playground().clone();
    let settings = PlaygroundSettings {
        version: new.version.unwrap_or_default(),
        api_id: new.oauth_app_id.trim().to_owned(),
        client_id: new.oauth_service_user_name.trim().to_owned(),
        sealed_client_secret: secret.as_ref().map(|secret| seal(state, secret)).transpose()?,
        scope: new.oauth_scopes_supported.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    let version = match changing.change.save_playground_settings(&settings, new.version.is_none()).await {
        Ok(Saved::As(version)) => version,
        Ok(Saved::Conflict(version)) => {
            let message = format!("version: the settings now have version {version}; read them and save again");
            return Err(Fault::new(StatusCode::CONFLICT, "conflict", message));
        }
        Err(error) => return Err(failed(state)(error)),
    };
    // A secret that was stored for one client does not belong to another.
    let stored = Settings::load(state)?.client_secret.filter(|_| before.client_id != settings.client_id);
    check_registered(&changing.registry, &settings, &scope)?;
    if let Some(secret) = secret.or(stored) {
        check_secret(state, &changing.registry, &settings.client_id, secret, address)?;
    }
    let is_new_secret = settings.sealed_client_secret.is_some();
    let sealed_client_secret = settings.sealed_client_secret.clone().or(before.sealed_client_secret.clone());
    let mut after = view(state, &PlaygroundSettings { version, sealed_client_secret, ..settings });
    after["isNewPassword"] = is_new_secret.into();
    let (action, target) = ("settings.update", "playground".to_owned());
    changing.finish(Entry { action, target, before: Some(view(state, &before)), after: Some(after) }).await?;
    Ok(Success::new("Settings updated successfully"))
}

/// Checks each field alone, with the guide's messages. Returns the new secret, if there is one, and the scopes.
fn check(state: &State, new: &NewSettings, is_set: bool) -> Result<(Option<Secret>, Scope), Fault> {
    let tenant = new.tenant_url.as_deref().map(|url| url.strip_suffix('/').unwrap_or(url));
    if tenant.is_some_and(|tenant| tenant != state.issuer.as_str()) {
        return Err(Fault::bad_request(format!("tenantUrl: must be this server, {}", state.issuer)));
    }
    for (key, value) in [("oauthAppId", &new.oauth_app_id), ("oauthServiceUserName", &new.oauth_service_user_name)] {
        check_text(key, value)?;
    }
    let scope = new.oauth_scopes_supported.split_whitespace().collect::<Vec<_>>().join(" ");
    let scope = if scope.is_empty() { Ok(Scope::default()) } else { Scope::parse(&scope) };
    let scope = scope.map_err(|refusal| {
        let what = match &refusal {
            Refusal::MalformedScope(name) => format!("must be scope names (RFC 6749 §3.3), but {name} is malformed"),
            _ => format!("must be at most {MAX_SCOPE_TOKENS} scopes"),
        };
        Fault::bad_request(format!("oauthScopesSupported: {what}")).with_reason(refusal.to_string())
    })?;
    // The placeholder that a read returned is not a secret. Sending it back changes nothing.
    let sent = new.oauth_service_user_password.as_ref().filter(|sent| !(is_set && sent.expose() == SET));
    match sent {
        Some(sent) => check_password(sent).map(|secret| (Some(secret), scope)),
        None if is_set => Ok((None, scope)),
        None => Err(Fault::bad_request("oauthServiceUserPassword: Required")),
    }
}

fn check_text(key: &str, value: &str) -> Result<(), Fault> {
    if value.trim().is_empty() {
        return Err(Fault::bad_request(format!("{key}: Required")));
    }
    if value.chars().count() > MAX_TEXT_CHARS || value.chars().any(char::is_control) {
        return Err(Fault::bad_request(format!("{key}: must be one line of at most {MAX_TEXT_CHARS} characters")));
    }
    Ok(())
}

fn check_password(password: &Secret) -> Result<Secret, Fault> {
    let (fewest, most) = PASSWORD_CHARS;
    let refuse = |what: &str| Err(Fault::bad_request(format!("oauthServiceUserPassword: Password {what}")));
    match password.expose().chars().count() {
        length if length < fewest => refuse(&format!("must be at least {fewest} characters long")),
        length if length > most => refuse(&format!("should not be longer than {most} characters")),
        _ if password.expose().chars().any(char::is_control) => refuse("should not have control characters"),
        _ => Ok(password.clone()),
    }
}

/// Checks the fields against the registry. Otherwise, a flow would only fail later.
fn check_registered(registry: &Registry, new: &PlaygroundSettings, scope: &Scope) -> Result<(), Fault> {
    let refuse = |key: &str, what: &str| Fault::bad_request(format!("{key}: {what}"));
    let api = registry.find_api(&new.api_id).ok_or(refuse("oauthAppId", "is not the ID of an API"))?;
    check_not_administrative(&new.api_id, &new.client_id)?;
    registry.find_client(&new.client_id).ok_or(refuse("oauthServiceUserName", "is not a registered client_id"))?;
    match scope.first_missing_in(&api.all_scopes()) {
        Some(unknown) => {
            let fault = refuse("oauthScopesSupported", &format!("must be scopes of the API, which has no {unknown}"));
            Err(fault.with_reason(Refusal::UnknownScope(unknown.clone()).to_string()))
        }
        None => Ok(()),
    }
}

/// Fails if a flow would request tokens of `admin-api`, or authenticate as the operator. Otherwise, everyone who signs
/// in to the playground could administer the server.
fn check_not_administrative(api_id: &str, client_id: &str) -> Result<(), Fault> {
    check_not_admin_api("oauthAppId", api_id)?;
    if client_id == operator::CLIENT { Err(for_administration("oauthServiceUserName", client_id)) } else { Ok(()) }
}

/// Fails if this is `admin-api`. `key` is the name of the field.
pub(crate) fn check_not_admin_api(key: &str, api_id: &str) -> Result<(), Fault> {
    if api_id == own_api::API { Err(for_administration(key, api_id)) } else { Ok(()) }
}

/// Returns the fault for an object that is reserved for administration. `key` is the name of the field.
pub(crate) fn for_administration(key: &str, id: &str) -> Fault {
    Fault::bad_request(format!("{key}: {id} cannot be used in the playground, because it is for administration"))
}

/// Checks the client's secret like the token endpoint does. A wrong one counts as a failed attempt.
fn check_secret(
    state: &State,
    registry: &Registry,
    client_id: &str,
    secret: Secret,
    address: IpAddr,
) -> Result<(), Fault> {
    let presented =
        ClientAuthentication { method: ClientAuthMethod::ClientSecretBasic, client_id: client_id.to_owned(), secret };
    match authenticate::check_secret(state, registry, &presented, address) {
        Ok(()) => Ok(()),
        Err(refusal @ Refusal::TooManyAttempts { .. }) => Err(refusal.into()),
        Err(refusal) => {
            let what = format!("oauthServiceUserPassword: does not work with this Username: {refusal}");
            Err(Fault::bad_request(what))
        }
    }
}
