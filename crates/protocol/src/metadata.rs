//! The metadata documents (RFC 8414 §2, RFC 9728 §2). They only list what is supported.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::Api;
use crate::client::ClientAuthMethod;
use crate::grant_type::GrantTypes;
use crate::issuer::Issuer;

/// The well-known path of a protected resource's metadata (RFC 9728 §3).
pub const PROTECTED_RESOURCE_PATH: &str = "/.well-known/oauth-protected-resource";
/// The path of the authorization endpoint.
pub const AUTHORIZATION_PATH: &str = "/oauth2/authorize";

/// Returns the document of the authorization server itself (RFC 8414 §2).
pub fn authorization_server<'a>(issuer: &Issuer, apis: impl IntoIterator<Item = &'a Api>) -> Value {
    let grants = apis.into_iter().flat_map(|api| api.grants.iter()).collect();
    document(issuer, PATHS, grants)
}

/// Returns the same document for readers that expect OpenID Connect.
pub fn openid<'a>(issuer: &Issuer, apis: impl IntoIterator<Item = &'a Api>) -> Value {
    let apis: Vec<&Api> = apis.into_iter().collect();
    with_openid_members(authorization_server(issuer, apis.iter().copied()), apis)
}

/// Returns the document of one API for the guide's clients: the same issuer, the tenant paths, the API's own scopes.
pub fn tenant(issuer: &Issuer, api: &Api) -> Value {
    let path = |name: &str| format!("/OAuth2/{name}/{}", api.id);
    let paths = [path("Token"), path("Introspect"), path("Revoke"), path("Keys")];
    let document = document(issuer, paths.each_ref().map(String::as_str), api.grants);
    with_scopes(with_openid_members(document, [api]), api)
}

/// Returns the document of a protected resource.
pub fn protected_resource(issuer: &Issuer, api: &Api) -> Value {
    let document = json!({
        "resource": api.audience.as_str(),
        "resource_name": api.name,
        "authorization_servers": [issuer.as_str()],
        "jwks_uri": issuer.join("/oauth2/jwks"),
        "bearer_methods_supported": ["header"],
    });
    with_scopes(document, api)
}

/// The paths of the token, introspection and revocation endpoints, and of the key set.
const PATHS: [&str; 4] = ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/jwks"];

fn document(issuer: &Issuer, [token, introspect, revoke, keys]: [&str; 4], grants: GrantTypes) -> Value {
    let methods = ClientAuthMethod::ALL.map(ClientAuthMethod::as_str);
    let mut document = json!({
        "issuer": issuer.as_str(),
        // It refuses every request. Some clients require it, and none uses it without a response type.
        "authorization_endpoint": issuer.join(AUTHORIZATION_PATH),
        "token_endpoint": issuer.join(token),
        "introspection_endpoint": issuer.join(introspect),
        "revocation_endpoint": issuer.join(revoke),
        "jwks_uri": issuer.join(keys),
        // Required, even if it is empty.
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
    });
    put_list(&mut document, "grant_types_supported", grants.iter().map(|grant| grant.as_str()));
    document
}

/// Adds what OpenID Connect Discovery §3 requires. There are no ID tokens: the algorithms are those of access tokens.
fn with_openid_members<'a>(mut document: Value, apis: impl IntoIterator<Item = &'a Api>) -> Value {
    let algorithms: BTreeSet<&str> = apis.into_iter().map(|api| api.algorithm.as_str()).collect();
    put_list(&mut document, "subject_types_supported", ["public"]);
    put_list(&mut document, "id_token_signing_alg_values_supported", algorithms);
    document
}

fn with_scopes(mut document: Value, api: &Api) -> Value {
    put_list(&mut document, "scopes_supported", api.scopes.iter().map(|scope| scope.token.as_str()));
    document
}

/// Adds a list. An empty one is omitted (RFC 8414 §3.2, RFC 9728 §3.2).
fn put_list<'a>(document: &mut Value, name: &str, values: impl IntoIterator<Item = &'a str>) {
    let values: Vec<&str> = values.into_iter().collect();
    if !values.is_empty() {
        document[name] = json!(values);
    }
}
