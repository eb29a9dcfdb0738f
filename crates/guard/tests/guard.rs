//! A third-party API behind the guard, with a fixed key set.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use countersign_guard::{FixedKeys, Guard, VerifiedToken, Verifier};
use countersign_protocol::api::{Api, RefreshPolicy, ScopeDefinition};
use countersign_protocol::audience::Audience;
use countersign_protocol::ids::ApiId;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::jws::{encode_header, sign};
use countersign_protocol::jose::key::SigningKey;
use countersign_protocol::path_rule::PathRule;
use countersign_protocol::scope_token::ScopeToken;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};

const ISSUER: &str = "https://auth.example";
const NOW: i64 = 1000;

fn api() -> Api {
    let scope = |name: &str, rule: &str| ScopeDefinition {
        token: ScopeToken::parse(name).expect("a scope"),
        description: String::new(),
        rules: vec![PathRule::parse(rule).expect("a rule")],
        is_default: false,
    };
    Api {
        id: ApiId::parse("billing").expect("an id"),
        audience: Audience::parse("https://billing.example").expect("an audience"),
        name: "Billing".to_owned(),
        scopes: vec![scope("invoices:read", "GET /invoices(/.*)?"), scope("nothing", "GET /nowhere")],
        grants: countersign_protocol::grant_type::GrantTypes::default(),
        access_token_lifetime_s: 3600,
        algorithm: Algorithm::EdDsa,
        refresh: RefreshPolicy::default(),
        epoch: 0,
        removals: Box::default(),
    }
}

fn key() -> SigningKey {
    let pkcs8 = SigningKey::generate(Algorithm::EdDsa).expect("a key");
    SigningKey::from_pkcs8(Algorithm::EdDsa, &pkcs8).expect("a key")
}

/// A token with these claims on top of those of a valid one.
fn token(key: &SigningKey, claims: &Value) -> String {
    let mut all = json!({
        "iss": ISSUER, "sub": "job", "aud": "https://billing.example", "client_id": "job",
        "iat": NOW, "exp": NOW + 60, "jti": "1", "scope": "invoices:read",
    });
    for (name, value) in claims.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    sign(key, &encode_header(key, "at+jwt"), all.to_string().as_bytes()).expect("signs")
}

async fn who(VerifiedToken(claims): VerifiedToken) -> String {
    claims.subject.clone()
}

async fn call(key: &SigningKey, path: &str, token: &str) -> (StatusCode, String) {
    let keys = Arc::new(FixedKeys::new(&[key.jwk().clone()]).expect("keys"));
    let guard = Guard::new(Verifier::new(ISSUER, keys, || NOW), || Some(Arc::new(api())));
    let guarded = guard.layer(Router::new().route("/invoices/{id}", get(who)));
    let request = Request::get(path).header("authorization", format!("Bearer {token}")).body(Body::empty());
    let response = guarded.oneshot(request.expect("a request")).await.expect("never fails");
    let challenge = response.headers().get("www-authenticate").and_then(|value| value.to_str().ok());
    (response.status(), challenge.unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_valid_token_allows_what_its_scope_permits_and_the_handler_sees_its_subject() {
    let key = key();
    assert_eq!(call(&key, "/invoices/7", &token(&key, &json!({}))).await.0, StatusCode::OK);
    assert_eq!(
        call(&key, "/%69nvoices/7", &token(&key, &json!({}))).await.0,
        StatusCode::OK,
        "both use the normalized path"
    );
    let several = json!({ "aud": ["https://other.example", "https://billing.example"] });
    assert_eq!(call(&key, "/invoices/7", &token(&key, &several)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn everything_else_is_refused_with_no_unnecessary_detail() {
    let key = key();
    for claims in [
        json!({ "iss": "https://evil.example" }),
        json!({ "aud": "https://other.example" }),
        json!({ "aud": [] }),
        json!({ "exp": NOW }),
        json!({ "exp": "9999999999" }),
        json!({ "nbf": "0" }),
        json!({ "nbf": NOW + 11 }),
        json!({ "iat": NOW + 11 }),
        json!({ "scope": 7 }),
    ] {
        let (status, challenge) = call(&key, "/invoices/7", &token(&key, &claims)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{claims}");
        assert!(challenge.starts_with("Bearer realm=\"billing\", error=\"invalid_token\""), "{challenge}");
    }
    assert_eq!(call(&key, "/invoices/7", &token(&self::key(), &json!({}))).await.0, StatusCode::UNAUTHORIZED);
    let (status, challenge) = call(&key, "/invoices/7", &token(&key, &json!({ "scope": "nothing" }))).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(challenge.contains("scope=\"invoices:read\""), "{challenge}");
    assert_eq!(call(&key, "/elsewhere", &token(&key, &json!({}))).await.0, StatusCode::FORBIDDEN);
    assert_eq!(call(&key, "/invoices/../elsewhere", &token(&key, &json!({}))).await.0, StatusCode::BAD_REQUEST);
}
