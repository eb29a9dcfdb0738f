//! `/`: what Countersign is, where to start, and the same flow on the command line.

use std::sync::Arc;

use askama::Template;
use axum::extract::{self, RawQuery};
use axum::response::Response;
use countersign_client::{Client, Endpoints};
use countersign_protocol::issuer::Issuer;
use countersign_server::state::State;
use http::StatusCode;

use crate::pages::error;
use crate::pages::layout::{Frame, respond};
use crate::pages::visitor::Visitor;
use crate::playground::demo::DEMO_CLIENT;
use crate::playground::settings::Settings;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    frame: Frame,
    curl: String,
    /// Whether the client in the settings is registered.
    has_client: bool,
    /// Whether that client is the demo's own.
    is_demo_client: bool,
    /// Whether the visitor has just signed out (`static/shell.js`).
    is_signed_out: bool,
}

/// `GET /`
pub(crate) async fn home(
    extract::State(state): extract::State<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Response {
    let settings = match Settings::load(&state) {
        Ok(settings) => settings,
        Err(sealed) => return error::failed(sealed),
    };
    let has_client = state.registry.current().find_client(&settings.client_id).is_some();
    let page = Home {
        is_signed_out: visitor.person.is_none() && query.as_deref() == Some("signed-out"),
        frame: Frame::of_text("OAuth 2 for machines", "/", visitor.person),
        curl: curl(&settings, has_client, &state.issuer),
        has_client,
        is_demo_client: has_client && settings.client_id == DEMO_CLIENT,
    };
    respond(StatusCode::OK, &page)
}

/// Returns a curl command that works when pasted. It sends the request that `/m2m` builds from the settings alone.
fn curl(settings: &Settings, has_client: bool, issuer: &Issuer) -> String {
    match (Endpoints::tenant_in_process(issuer.as_str(), &settings.api_id), &settings.client_secret) {
        (Ok(endpoints), Some(secret)) if has_client => {
            let client = Client::new(endpoints, settings.client_id.as_str(), secret.clone(), ());
            let scope = Some(settings.scope.as_str()).filter(|scope| !scope.is_empty());
            client.prepare_client_credentials(scope).to_curl()
        }
        _ => {
            let token_endpoint = issuer.join("/oauth2/token");
            format!(r#"curl -u "$CLIENT_ID:$CLIENT_SECRET" -d grant_type=client_credentials {token_endpoint}"#)
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::secret::Secret;

    use super::*;

    #[test]
    fn a_client_id_is_form_encoded_for_basic_and_safe_for_the_shell() {
        let line = |id: &str| {
            let settings = Settings {
                api_id: "a".to_owned(),
                client_id: id.to_owned(),
                client_secret: Some(Secret::new("secret")),
                scope: "all".to_owned(),
            };
            curl(&settings, !id.is_empty(), &Issuer::parse("http://127.0.0.1:8080").expect("an issuer"))
        };
        assert!(
            line("demo-service").starts_with("curl -u \"demo-service:$CLIENT_SECRET\" "),
            "{}",
            line("demo-service")
        );
        assert!(line("job+ci@acme.com").contains("\"job%2Bci%40acme.com:$CLIENT_SECRET\""));
        assert!(!line("a`id`$(id)\"\\").contains("`id`"));
        assert!(line("").starts_with("curl -u \"$CLIENT_ID:$CLIENT_SECRET\" "));
    }
}
