//! `/m2m`: a token, from the choice of a flow to its revocation. The page is rendered once, and `static/m2m.js` does
//! the rest.

use std::sync::Arc;

use askama::Template;
use axum::extract;
use axum::response::Response;
use countersign_protocol::api::{Api, ScopeDefinition};
use countersign_protocol::client::{Client, Entitlement};
use countersign_protocol::grant_type::GrantType;
use countersign_server::admin::own_api;
use countersign_server::registry::Registry;
use countersign_server::state::State;
use http::StatusCode;

use crate::pages::error;
use crate::pages::layout::{Frame, respond};
use crate::pages::login::to_sign_in;
use crate::pages::visitor::Visitor;
use crate::playground::settings::Settings;
use crate::session::Person;

/// The modules of the page, listed early so that the browser need not discover them one after the other.
const MODULES: [&str; 12] = [
    "api.js",
    "diagram.js",
    "dom.js",
    "explain.js",
    "flow.js",
    "jwt.js",
    "life.js",
    "preview.js",
    "problem.js",
    "resource.js",
    "result.js",
    "time.js",
];

/// A selectable scope.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ScopeView {
    name: String,
    description: String,
    is_chosen: bool,
    is_entitled: bool,
}

/// A selectable API.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ApiView {
    id: String,
    name: String,
    audience: String,
    scopes: Vec<ScopeView>,
    is_chosen: bool,
    allows_client_credentials: bool,
    allows_password: bool,
    allows_refresh: bool,
}

#[derive(Template)]
#[template(path = "m2m.html")]
struct M2m {
    frame: Frame,
    modules: [&'static str; 12],
    /// What is missing in the settings or, if nothing is missing, what is not registered.
    missing: Vec<&'static str>,
    is_complete: bool,
    apis: Vec<ApiView>,
    login: String,
    is_administrator: bool,
}

/// `GET /m2m`
pub(crate) async fn m2m(extract::State(state): extract::State<Arc<State>>, visitor: Visitor) -> Response {
    let Some(person) = visitor.person else {
        return to_sign_in("/m2m");
    };
    let chosen = match Settings::load(&state) {
        Ok(settings) => settings,
        Err(sealed) => return error::failed(sealed),
    };
    respond(StatusCode::OK, &view(&state.registry.current(), &chosen, person))
}

/// Renders the page for the registered APIs and the settings.
fn view(registry: &Registry, chosen: &Settings, person: Person) -> M2m {
    let client = registry.find_client(&chosen.client_id);
    let shown = registry.apis().filter(|api| !own_api::is_own(api));
    let mut apis: Vec<ApiView> = shown.map(|api| api_view(api, client, chosen)).collect();
    apis.sort_by(|a, b| b.is_chosen.cmp(&a.is_chosen).then_with(|| a.id.cmp(&b.id)));
    let lacking = find_lacking(chosen);
    let is_complete = lacking.is_empty();
    M2m {
        modules: MODULES,
        missing: if lacking.is_empty() { find_unregistered(registry, chosen) } else { lacking },
        is_complete,
        apis,
        login: person.login.clone(),
        is_administrator: person.is_administrator,
        frame: Frame::new("Machine To Machine", "/m2m", Some(person)),
    }
}

fn api_view(api: &Api, client: Option<&Client>, chosen: &Settings) -> ApiView {
    let entitlement = client.and_then(|client| client.find_entitlement(&api.id));
    let allows = |grant| api.allows(grant) && entitlement.is_some_and(|entitled| entitled.grants.contains(grant));
    let is_chosen = chosen.api_id == api.id.as_str();
    ApiView {
        id: api.id.to_string(),
        name: api.name.clone(),
        audience: api.audience.to_string(),
        scopes: api.scopes.iter().map(|scope| scope_view(scope, entitlement, is_chosen, chosen)).collect(),
        is_chosen,
        allows_client_credentials: allows(GrantType::ClientCredentials),
        allows_password: allows(GrantType::Password),
        allows_refresh: allows(GrantType::RefreshToken),
    }
}

/// Returns a scope. The scopes in the settings are selected or, for another API, its default scopes.
fn scope_view(
    scope: &ScopeDefinition,
    entitlement: Option<&Entitlement>,
    is_chosen_api: bool,
    chosen: &Settings,
) -> ScopeView {
    let name = scope.token.to_string();
    ScopeView {
        description: scope.description.clone(),
        is_chosen: if is_chosen_api { chosen.scope.split(' ').any(|one| one == name) } else { scope.is_default },
        is_entitled: entitlement.is_some_and(|entitled| entitled.scopes.contains(&scope.token)),
        name,
    }
}

/// Returns what the settings lack before a request can be built.
fn find_lacking(chosen: &Settings) -> Vec<&'static str> {
    let needed = [
        (chosen.api_id.is_empty(), "Application ID, the API that the token is for"),
        (chosen.client_id.is_empty(), "Username, the client that requests the token"),
        (chosen.client_secret.is_none(), "Password, the client's secret"),
    ];
    needed.into_iter().filter(|(lacks, _)| *lacks).map(|(_, what)| what).collect()
}

/// Returns what the settings name that was deleted after they were saved.
fn find_unregistered(registry: &Registry, chosen: &Settings) -> Vec<&'static str> {
    let named = [
        (registry.find_api(&chosen.api_id).is_none(), "Application ID: the stored ID is not a registered API"),
        (registry.find_client(&chosen.client_id).is_none(), "Username: the stored client_id is not registered"),
    ];
    named.into_iter().filter(|(is_gone, _)| *is_gone).map(|(_, what)| what).collect()
}
