//! `POST tokenRequestPreview`: the token request, before it is sent, as the very value that `tokenSet` sends.

use std::sync::Arc;

use axum::extract;
use axum::extract::Extension;
use countersign_client::{Client, Endpoints, PreparedRequest};
use countersign_protocol::secret::Secret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::demo::access::SignedIn;
use crate::demo::envelope::{Answer, Fault, Success};
use crate::demo::json_body::JsonBody;
use crate::demo::settings::Settings;
use crate::demo::transport::{Inner, OwnServer};
use crate::state::State;

/// What preview and `tokenSet` ask: the guide's keys, in the guide's spelling or the later one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Ask {
    #[serde(alias = "auth_flow", rename = "authFlow")]
    _auth_flow: AuthFlow,
    #[serde(alias = "grant_type")]
    grant_type: Grant,
    #[serde(default, alias = "user_name")]
    user_name: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    /// Separated by spaces; by default that of the settings.
    #[serde(default)]
    scope: Option<String>,
    /// An Api's id; by default that of the settings.
    #[serde(default)]
    api: Option<String>,
}

#[derive(Deserialize)]
enum AuthFlow {
    #[serde(rename = "OAUTH")]
    OAuth,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Grant {
    ClientCredentials,
    Password,
}

/// `POST tokenRequestPreview`
pub(crate) async fn preview(
    extract::State(state): extract::State<Arc<State>>,
    Extension(inner): Extension<Inner>,
    signed_in: SignedIn,
    JsonBody(ask): JsonBody<Ask>,
) -> Answer {
    let settings = Settings::load(&state).await?;
    let (_, prepared) = prepare(&state, &settings, &ask, OwnServer::new(&inner, &signed_in.caller))?;
    let mut request = json!(prepared.masked());
    request["curl"] = prepared.to_curl().into();
    let result = json!({ "apiEndPoint": prepared.url().as_str(), "payload": payload(&prepared), "request": request });
    Ok(Success::new(result))
}

/// The client that asks, and the request that it sends: all that is shown of a token request is read from this value.
pub(crate) fn prepare(
    state: &State,
    settings: &Settings,
    ask: &Ask,
    transport: OwnServer,
) -> Result<(Client<OwnServer>, PreparedRequest), Fault> {
    let missing = settings.missing();
    let secret = settings.client_secret.clone().filter(|_| missing.is_empty());
    let secret = secret.ok_or_else(|| {
        Fault::bad_request(format!("Settings: an administrator must first set {}", missing.join(", ")))
    })?;
    let api = ask.api.as_deref().unwrap_or(&settings.api_id);
    let endpoints = Endpoints::tenant_in_process(state.issuer.as_str(), api);
    let endpoints = endpoints.map_err(|error| Fault::bad_request(format!("api: {error}")))?;
    let client = Client::new(endpoints, settings.client_id.as_str(), secret, transport);
    let scope = Some(ask.scope.as_deref().unwrap_or(&settings.scope).trim()).filter(|scope| !scope.is_empty());
    let prepared = match (ask.grant_type, &ask.user_name, &ask.password) {
        (Grant::ClientCredentials, None, None) => client.prepare_client_credentials(scope),
        // A form that was switched from one flow to the other must not carry the one's secrets into the other.
        (Grant::ClientCredentials, Some(_), _) => return Err(foreign("userName")),
        (Grant::ClientCredentials, None, Some(_)) => return Err(foreign("password")),
        (Grant::Password, user_name, password) => {
            let user_name = user_name.as_deref().filter(|name| !name.is_empty());
            let user_name = user_name.ok_or(Fault::bad_request("userName: Required"))?;
            let password = password.as_ref().filter(|password| !password.expose().is_empty());
            let password = password.ok_or(Fault::bad_request("password: Required"))?;
            client.prepare_password(user_name, password, scope)
        }
    };
    Ok((client, prepared))
}

fn foreign(field: &str) -> Fault {
    Fault::bad_request(format!("{field}: belongs to the password grant, not to client_credentials"))
}

/// The guide's `payload`: the request's fields under the guide's names, in its order, secrets masked.
fn payload(prepared: &PreparedRequest) -> Map<String, Value> {
    const NAMES: [(&str, &str); 6] = [
        ("grant_type", "grantType"),
        ("client_id", "clientId"),
        ("client_secret", "clientSecret"),
        ("scope", "scope"),
        ("username", "userName"),
        ("password", "password"),
    ];
    let find = |name| prepared.fields().find(|(known, _)| *known == name).map(|(_, shown)| json!(shown));
    NAMES.iter().filter_map(|(name, shown)| Some(((*shown).to_owned(), find(*name)?))).collect()
}
