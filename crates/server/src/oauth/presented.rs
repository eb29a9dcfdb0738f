//! What a refused request contained, to help find the cause: names and lengths, never a value that could be a secret.

use countersign_protocol::form::Form;
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::scope::MAX_SCOPE_TOKENS;
use countersign_protocol::scope_token::ScopeToken;
use serde_json::{Value, json};

use crate::oauth::exchange::Exchange;
use crate::registry::Registry;

/// The parameters that standards define. Another name may be anything.
const KNOWN: [&str; 13] = [
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "resource",
    "audience",
    "username",
    "password",
    "refresh_token",
    "token",
    "token_type_hint",
    "client_assertion",
    "client_assertion_type",
];

/// Returns the parts of the request that were read.
pub(crate) fn describe(exchange: &Exchange, registry: &Registry) -> Value {
    let mut presented = json!({ "authorization": exchange.scheme });
    // A segment that is not the ID of an API may be anything.
    let tenant = exchange.tenant.as_deref().map(|id| if registry.find_api(id).is_some() { id } else { "(unknown)" });
    presented["path_api"] = json!(tenant);
    if let Some(form) = &exchange.form {
        presented["parameters"] = json!(names(form));
        presented["scope"] = json!(form.find("scope").map(|scope| scopes(registry, scope)));
        let known_grant = form.find("grant_type").and_then(|name| GrantType::parse(name).ok());
        presented["grant_type"] = json!(known_grant.map(GrantType::as_str));
        let resources = form.find_all("resource").map(|resource| registry.find_api_by_resource(resource));
        let resources: Vec<&str> = resources.map(|api| api.map_or("(unknown)", |api| api.audience.as_str())).collect();
        presented["resource"] = json!(resources);
        presented["client_secret_characters"] = json!(form.find("client_secret").map(|secret| secret.chars().count()));
    }
    presented
}

fn names(form: &Form) -> Vec<&str> {
    form.names().map(|name| if KNOWN.contains(&name) { name } else { "(unknown)" }).collect()
}

/// Returns known scopes by name, and others by their length.
fn scopes(registry: &Registry, text: &str) -> Vec<String> {
    let is_known = |token: &ScopeToken| registry.apis().any(|api| api.find_scope(token).is_some());
    let name = |word: &str| match ScopeToken::parse(word).filter(is_known) {
        Some(token) => token.to_string(),
        None => format!("(unknown, {} characters)", word.chars().count()),
    };
    text.split(' ').take(MAX_SCOPE_TOKENS).map(name).collect()
}
