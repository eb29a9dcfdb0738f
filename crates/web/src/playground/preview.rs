//! `POST tokenRequestPreview`: shows the token request before it is sent, rendered from the same value that `tokenSet`
//! sends.

use std::sync::Arc;

use axum::extract;
use axum::extract::Extension;
use countersign_client::{Client, Endpoints, PreparedRequest};
use countersign_protocol::issuer::Issuer;
use countersign_protocol::secret::Secret;
use countersign_server::state::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::access::SignedIn;
use crate::api::envelope::{Answer, Success};
use crate::api::fault::Fault;
use crate::api::json_body::JsonBody;
use crate::playground::settings::{Settings, check_not_admin_api};
use crate::playground::transport::{Inner, OwnServer};

/// The body of preview and `tokenSet`: the guide's keys, in the guide's or the later spelling.
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
    /// Scopes separated by spaces. The default comes from the settings.
    #[serde(default)]
    scope: Option<String>,
    /// The ID of an API. The default comes from the settings.
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
    let settings = Settings::load(&state)?;
    let (_, prepared) = prepare(&state.issuer, &settings, &ask, OwnServer::new(&inner, &signed_in.caller))?;
    let mut request = json!(prepared.masked());
    request["curl"] = prepared.to_curl().into();
    let result = json!({ "apiEndPoint": prepared.url().as_str(), "payload": payload(&prepared), "request": request });
    Ok(Success::new(result))
}

/// The client and its request. Everything that is shown of a token request is rendered from this value.
pub(crate) fn prepare(
    issuer: &Issuer,
    settings: &Settings,
    ask: &Ask,
    transport: OwnServer,
) -> Result<(Client<OwnServer>, PreparedRequest), Fault> {
    let secret = settings.find_secret()?;
    let api = ask.api.as_deref().unwrap_or(&settings.api_id);
    check_not_admin_api("api", api)?;
    let endpoints = Endpoints::tenant_in_process(issuer.as_str(), api);
    let endpoints = endpoints.map_err(|error| Fault::bad_request(format!("api: {error}")))?;
    let client = Client::new(endpoints, settings.client_id.as_str(), secret, transport);
    let words: Vec<&str> = ask.scope.as_deref().unwrap_or(&settings.scope).split_whitespace().collect();
    let scope = Some(words.join(" ")).filter(|scope| !scope.is_empty());
    let scope = scope.as_deref();
    let prepared = match (ask.grant_type, &ask.user_name, &ask.password) {
        (Grant::ClientCredentials, None, None) => client.prepare_client_credentials(scope),
        // After switching between the flows, a form must not send the secrets of the other flow.
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
    Fault::bad_request(format!("{field}: only allowed for the password grant"))
}

/// Returns the guide's `payload`: the fields of the request with the guide's names, in its order, with secrets masked.
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

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Mutex;

    use axum::Router;
    use axum::body::Body;
    use http::{HeaderMap, HeaderValue, Request, StatusCode};

    use super::*;
    use countersign_server::http::body;
    use countersign_server::http::caller::Caller;

    type Sent = Arc<Mutex<Option<(String, HeaderMap, Vec<u8>)>>>;

    /// A router that records the request.
    fn recording(sent: &Sent) -> Inner {
        let sent = sent.clone();
        Inner(Router::new().fallback(async move |request: Request<Body>| {
            let (head, body) = request.into_parts();
            let body = body::read(body, &http::Extensions::new()).await.expect("a body").to_vec();
            *sent.lock().expect("unpoisoned") = Some((head.uri.path().to_owned(), head.headers, body));
            StatusCode::IM_A_TEAPOT
        }))
    }

    fn settings() -> Settings {
        Settings {
            api_id: "oauthclient".to_owned(),
            client_id: "job & co".to_owned(),
            client_secret: Some(Secret::new("s3cret+%:\u{e9}")),
            scope: "all reports:read".to_owned(),
        }
    }

    #[tokio::test]
    async fn the_preview_is_sent_byte_for_byte() {
        let issuer = Issuer::parse("http://127.0.0.1:8080").expect("an issuer");
        let request_id = HeaderValue::from_static("r1");
        let caller = Caller { address: IpAddr::V4(Ipv4Addr::LOCALHOST), request_id };
        for ask in [
            json!({ "authFlow": "OAUTH", "grantType": "client_credentials" }),
            json!({ "authFlow": "OAUTH", "grantType": "password", "userName": "o'neil &", "password": "p=&\u{e9} +" }),
        ] {
            let ask: Ask = serde_json::from_value(ask).expect("a request");
            let sent = Sent::default();
            let own_server = OwnServer::new(&recording(&sent), &caller);
            let (client, prepared) = prepare(&issuer, &settings(), &ask, own_server).expect("prepared");
            assert!(client.request_token(prepared.clone()).await.is_err());
            let (path, headers, body) = sent.lock().expect("unpoisoned").take().expect("a request");
            let previewed = prepared.to_http();
            assert_eq!(path, "/oauth2/token/oauthclient");
            assert_eq!(body, previewed.body().as_slice());
            for (name, value) in previewed.headers() {
                assert_eq!(headers.get(name), Some(value), "{name}");
            }
            // The displayed request is the same, except for the masked secrets.
            let masked = prepared.masked();
            let unmasked = masked.body.replace("password=********", "password=p%3D%26%C3%A9+%2B");
            assert_eq!(unmasked.as_bytes(), body);
            assert!(!json!(masked).to_string().contains("s3cret"));
        }
    }
}
