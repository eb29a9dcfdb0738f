//! The metadata documents (RFC 8414 §2, RFC 9728 §2). They only list what is supported.

use serde_json::{Value, json};

use crate::api::Api;
use crate::client::ClientAuthMethod;
use crate::grant_type::GrantTypes;
use crate::issuer::Issuer;

/// The well-known path of a protected resource's metadata (RFC 9728 §3).
pub const PROTECTED_RESOURCE_PATH: &str = "/.well-known/oauth-protected-resource";

/// Returns the document of the authorization server itself.
pub fn authorization_server<'a>(issuer: &Issuer, apis: impl IntoIterator<Item = &'a Api>) -> Value {
    let grants = apis.into_iter().flat_map(|api| api.grants.iter()).collect();
    document(issuer, ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/jwks"], grants)
}

/// Returns the document of one API for the guide's clients: the same issuer, the tenant paths, the API's own scopes.
pub fn tenant(issuer: &Issuer, api: &Api) -> Value {
    let path = |name: &str| format!("/OAuth2/{name}/{}", api.id);
    let paths = [path("Token"), path("Introspect"), path("Revoke"), path("Keys")];
    let mut document = document(issuer, paths.each_ref().map(String::as_str), api.grants);
    document["scopes_supported"] = scope_names(api);
    document
}

/// Returns the document of a protected resource.
pub fn protected_resource(issuer: &Issuer, api: &Api) -> Value {
    json!({
        "resource": api.audience.as_str(),
        "resource_name": api.name,
        "authorization_servers": [issuer.as_str()],
        "jwks_uri": issuer.join("/oauth2/jwks"),
        "scopes_supported": scope_names(api),
        "bearer_methods_supported": ["header"],
    })
}

fn document(issuer: &Issuer, [token, introspect, revoke, keys]: [&str; 4], grants: GrantTypes) -> Value {
    let methods = ClientAuthMethod::ALL.map(ClientAuthMethod::as_str);
    json!({
        "issuer": issuer.as_str(),
        "token_endpoint": issuer.join(token),
        "introspection_endpoint": issuer.join(introspect),
        "revocation_endpoint": issuer.join(revoke),
        "jwks_uri": issuer.join(keys),
        "response_types_supported": [],
        "grant_types_supported": grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
    })
}

fn scope_names(api: &Api) -> Value {
    api.scopes.iter().map(|scope| scope.token.as_str()).collect()
}
