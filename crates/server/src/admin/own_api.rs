//! The API of the admin API, `admin-api`. Its scopes are areas and verbs, so that a client does not need all rights.

use countersign_protocol::api::{Api, RefreshPolicy, ScopeDefinition};
use countersign_protocol::audience::Audience;
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::ids::ApiId;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::path_rule::PathRule;
use countersign_protocol::scope::Scope;
use countersign_protocol::scope_token::ScopeToken;

/// The ID of the API.
pub const API: &str = "admin-api";
/// Its path. The audience is the issuer with this path.
pub const PATH: &str = "/admin";
/// The lifetime of its access tokens in seconds. A command takes less.
const LIFETIME_S: i64 = 600;

/// The version of `SCOPES`, raised with each change of them. While nodes are upgraded one by one, an older node keeps
/// the scopes of a newer one.
pub const SCOPES_VERSION: i64 = 2;

/// All scopes, each with its name, its description, and the requests that it allows.
const SCOPES: [(&str, &str, &[&str]); 13] = [
    ("apis:read", "Read APIs and their scopes", &["GET /admin/v1/apis(/.*)?"]),
    ("apis:write", "Create, change and delete APIs and scopes", &["POST,PATCH,DELETE /admin/v1/apis(/.*)?"]),
    (
        "clients:read",
        "Read clients, their entitlements, and the metadata of their secrets",
        &["GET /admin/v1/clients(/.*)?"],
    ),
    (
        "clients:write",
        "Create, change and delete clients and their entitlements",
        &[
            "POST /admin/v1/clients",
            "PATCH,DELETE /admin/v1/clients/[^/]+",
            "PUT,DELETE /admin/v1/clients/[^/]+/entitlements/[^/]+",
        ],
    ),
    (
        "secrets:write",
        "Create, change and revoke secrets",
        &["POST,PATCH,DELETE /admin/v1/clients/[^/]+/secrets(/.*)?"],
    ),
    ("users:read", "Read users and their sessions", &["GET /admin/v1/users(/.*)?"]),
    (
        "users:write",
        "Create, change and delete users, and end their sessions",
        &["POST,PATCH,DELETE /admin/v1/users(/.*)?"],
    ),
    ("keys:read", "Read signing keys", &["GET /admin/v1/keys(/.*)?"]),
    ("keys:write", "Rotate and revoke signing keys", &["POST /admin/v1/keys(/.*)?"]),
    ("tokens:revoke", "Revoke tokens", &["POST /admin/v1/revocations"]),
    (
        "usage:read",
        "Read usage counts, and list unused clients, secrets and entitlements",
        &["GET /admin/v1/usage(/.*)?"],
    ),
    ("refusals:read", "Read why requests were refused", &["GET /admin/v1/refusals(/.*)?"]),
    ("audit:read", "Read the audit log", &["GET /admin/v1/audit(/.*)?"]),
];

/// Returns the API as it is created.
pub fn api(audience: Audience) -> Api {
    let scope = |(name, description, rules): &(&str, &str, &[&str])| ScopeDefinition {
        token: ScopeToken::parse(name).expect("a scope name"),
        description: (*description).to_owned(),
        rules: rules.iter().map(|rule| PathRule::parse(rule).expect("a rule")).collect(),
        is_default: true,
    };
    Api {
        id: api_id(),
        audience,
        name: "Administration".to_owned(),
        scopes: SCOPES.iter().map(scope).collect(),
        grants: [GrantType::ClientCredentials].into_iter().collect(),
        access_token_lifetime_s: LIFETIME_S,
        algorithm: Algorithm::Es256,
        refresh: RefreshPolicy::default(),
        epoch: 0,
        removals: Box::default(),
    }
}

/// Returns the ID.
pub fn api_id() -> ApiId {
    ApiId::parse(API).expect("an API ID")
}

/// True for `admin-api`, which the playground does not offer.
pub fn is_own(api: &Api) -> bool {
    api.id.as_str() == API
}

/// Returns all its scopes, which together give full rights.
pub fn all_scopes() -> Scope {
    SCOPES.iter().filter_map(|(name, ..)| ScopeToken::parse(name)).collect()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};
    use countersign_protocol::jose::base64url;

    use super::*;

    #[test]
    fn the_version_changes_with_the_scopes() {
        let hash = base64url(digest(&SHA256, format!("{SCOPES:?}").as_bytes()).as_ref());
        assert_eq!(
            (SCOPES_VERSION, hash.as_str()),
            (2, "Tv2e5AjOb0x_lYbmMxPTEwjnJNKjTEwvd49MO-6X4ik"),
            "increment the version, and update the hash here"
        );
    }
}
