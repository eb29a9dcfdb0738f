//! The demonstration resources: show what a token allows, and what a narrow scope does not.

mod reports;
mod whoami;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use countersign_guard::{Guard, Guarded, Verifier};
use countersign_protocol::metadata::PROTECTED_RESOURCE_PATH;
use countersign_server::http::answer;
use countersign_server::state::State;
use tower::Layer;

/// The path of the resources. The issuer with this path is the audience of their API.
pub(crate) const PATH: &str = "/resource";

/// Returns the resources, protected by the guard of the API with their audience.
pub(crate) fn guarded(state: &State) -> Guarded<Router> {
    let resources = Router::new()
        .route("/resource/whoami", get(whoami::whoami))
        .route("/resource/reports", get(reports::list).post(reports::create))
        .with_state(reports::Reports::new(state))
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::wrong_method);
    let clock = state.clock.clone();
    let verifier = Verifier::new(state.issuer.as_str(), state.registry.clone(), move || clock.now());
    let (registry, audience) = (state.registry.clone(), state.issuer.join(PATH));
    let find_api = move || registry.current().find_api_by_audience(&audience).map(Arc::clone);
    let address = state.issuer.join(&format!("{PROTECTED_RESOURCE_PATH}{PATH}"));
    Guard::new(verifier, find_api).with_resource_metadata(&address).layer(resources)
}
