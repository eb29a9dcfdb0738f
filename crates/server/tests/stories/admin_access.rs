//! Access to the admin API: only tokens of `admin-api`, only within their scopes, and nobody can grant more than they have.

use countersign_protocol::api::ScopeDefinition;
use countersign_protocol::ids::ApiId;
use countersign_protocol::path_rule::PathRule;
use countersign_protocol::scope_token::ScopeToken;
use countersign_store::Change;
use countersign_testkit::{Administrator, TestServer};
use serde_json::json;

/// An administrator with only these scopes of `admin-api`.
pub(crate) async fn with_scopes(server: &TestServer, id: &str, scopes: &[&str]) -> Administrator {
    let operator = server.operator().await;
    let made = operator.post("/clients", json!({ "client_id": id, "secret": {} })).await;
    assert_eq!(made.status, 201, "{made}");
    let entitlement = json!({ "scopes": scopes, "grants": ["client_credentials"] });
    let allowed = operator.put(&format!("/clients/{id}/entitlements/admin-api"), entitlement).await;
    assert_eq!(allowed.status, 200, "{allowed}");
    let secret = made.json()["secret"]["client_secret"].as_str().unwrap().to_owned();
    server.administrator(id, &secret).await
}

#[tokio::test]
async fn only_tokens_of_admin_api_give_access_and_only_the_document_is_public() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    for path in ["/admin", "/admin/", "/admin/v1", "/admin/v1/clients", "/admin/v1/nowhere", "/admin/v2"] {
        let answer = stranger.get(path).await;
        assert_eq!(answer.status, 401, "{path}: {answer}");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"admin-api\"", "{path}");
    }
    let document = stranger.get("/admin/v1/openapi.json").await;
    assert_eq!((document.status, document.json()["openapi"].as_str()), (200, Some("3.1.0")));
    assert_eq!(document.json()["servers"][0]["url"], "http://127.0.0.1:8080/admin/v1");

    let foreign = server.demo_service().client_credentials("all").await.text("access_token");
    let refused = stranger.call("GET", "/admin/v1/clients", &foreign).await;
    assert_eq!(refused.refusal(), (401, "invalid_token".to_owned()));
    let in_query = stranger.get(&format!("/admin/v1/clients?access_token={foreign}")).await;
    assert_eq!(in_query.status, 401, "a token in the query does not count");
    let mut browser = server.browser();
    let demo = server.demo();
    assert_eq!(browser.sign_in(&demo.username, demo.password.expose()).await.status, 200);
    assert_eq!(
        browser.send(browser.request("GET", "/admin/v1/clients")).await.status,
        401,
        "an administrator's cookie does not count"
    );
}

#[tokio::test]
async fn a_scope_allows_its_resource_and_method_and_a_refusal_names_the_missing_one() {
    let server = TestServer::start().await;
    let reader = with_scopes(&server, "reader", &["clients:read"]).await;
    assert_eq!(reader.get("/clients").await.status, 200);
    assert_eq!(reader.get("/clients/reader/secrets").await.status, 200);
    let new = json!({ "client_id": "another" });
    for (method, path, body, needed) in [
        ("POST", "/clients", Some(&new), "clients:write"),
        ("DELETE", "/clients/reader", None, "clients:write"),
        ("PUT", "/clients/reader/entitlements/admin-api", Some(&new), "clients:write"),
        ("POST", "/clients/reader/secrets", Some(&new), "secrets:write"),
        ("POST", "/clients/reader/secrets/rotate", Some(&new), "secrets:write"),
        ("GET", "/users", None, "users:read"),
        ("GET", "/apis", None, "apis:read"),
        ("POST", "/keys/rotate", Some(&new), "keys:write"),
        ("POST", "/revocations", Some(&new), "tokens:revoke"),
        ("GET", "/audit", None, "audit:read"),
    ] {
        let answer = reader.call(method, path, body, &[]).await;
        assert_eq!(answer.refusal(), (403, "insufficient_scope".to_owned()), "{method} {path}: {answer}");
        let challenge = answer.header("www-authenticate");
        assert!(challenge.contains(&format!("scope=\"{needed}\"")), "{method} {path}: {challenge}");
    }
    assert!(server.operator().await.get("/clients/another").await.status == 404, "nothing was created");
}

#[tokio::test]
async fn nobody_can_grant_scopes_that_they_lack() {
    let server = TestServer::start().await;
    let writer = with_scopes(&server, "writer", &["clients:read", "clients:write", "secrets:write"]).await;
    let put = async |id: &str, api: &str, scopes: &[&str]| {
        let body = json!({ "scopes": scopes, "grants": ["client_credentials"] });
        writer.put(&format!("/clients/{id}/entitlements/{api}"), body).await
    };
    let not_yours = (403, "not-yours".to_owned(), "scopes".to_owned());
    assert_eq!(put("writer", "admin-api", &["clients:write", "users:write"]).await.problem(), not_yours);
    assert_eq!(put("demo-service", "admin-api", &["keys:write"]).await.problem(), not_yours);
    assert_eq!(put("demo-service", "admin-api", &["clients:read"]).await.status, 200, "own scopes may be granted");
    assert_eq!(put("writer", "oauthclient", &["all"]).await.status, 200, "other APIs only need clients:write");
    let introspect = json!({ "introspect": true });
    let refused = writer.put("/clients/writer/entitlements/admin-api", introspect).await;
    assert_eq!(refused.problem(), (403, "not-yours".to_owned(), "introspect".to_owned()));

    // Whoever creates a secret for a client can act as that client.
    let more = [
        ("/clients/operator/secrets", json!({})),
        ("/clients/operator/secrets/rotate", json!({})),
        ("/clients/operator/secrets", json!({ "import": "0123456789abcdef0123456789abcdef" })),
    ];
    for (path, body) in more {
        assert_eq!(writer.post(path, body).await.problem().1, "not-yours", "{path}");
    }
    let operator = server.operator().await;
    let secret = operator.list("/clients/operator/secrets").await[0]["id"].as_str().unwrap().to_owned();
    for (method, path, body) in [
        ("PATCH", "/clients/operator".to_owned(), Some(json!({ "status": "disabled" }))),
        ("DELETE", "/clients/operator".to_owned(), None),
        ("DELETE", "/clients/operator/entitlements/admin-api".to_owned(), None),
        ("DELETE", format!("/clients/operator/secrets/{secret}?force=true"), None),
    ] {
        let answer = writer.call(method, &path, body.as_ref(), &[]).await;
        assert_eq!(answer.problem().1, "not-yours", "nobody can remove a stronger client: {method} {path}: {answer}");
    }
    assert_eq!(operator.list("/clients/operator/secrets").await.len(), 1);
    assert_eq!(operator.get("/clients/writer").await.json()["entitlements"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn only_a_client_with_all_scopes_can_grant_a_role() {
    let server = TestServer::start().await;
    let people = with_scopes(&server, "people", &["users:read", "users:write"]).await;
    let smuggled = people.post("/users", json!({ "login": "eve", "roles": ["administrator"] })).await;
    assert_eq!(smuggled.problem(), (403, "not-yours".to_owned(), "roles".to_owned()));
    assert_eq!(people.post("/users", json!({ "login": "eve" })).await.status, 201);
    let raised = people.patch("/users/eve", json!({ "roles": ["administrator"] })).await;
    assert_eq!(raised.problem().1, "not-yours");
    // The demo user is an administrator, so setting a new password would be a privilege escalation.
    for body in [json!({ "password": "a password of mine" }), json!({ "roles": [] }), json!({ "status": "disabled" })] {
        assert_eq!(people.patch("/users/demo", body.clone()).await.problem().1, "not-yours", "{body}");
    }
    assert_eq!(people.delete("/users/demo").await.problem().1, "not-yours");
    assert_eq!(people.get("/users/eve").await.json()["roles"], json!([]));
    assert_eq!(server.operator().await.patch("/users/eve", json!({ "roles": ["administrator"] })).await.status, 200);
}

#[tokio::test]
async fn the_last_administrator_cannot_be_removed_in_any_way() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let secret = operator.list("/clients/operator/secrets").await[0]["id"].as_str().unwrap().to_owned();
    let now = server.state.now();
    let narrow = json!({ "scopes": ["clients:read"], "grants": ["client_credentials"] });
    let ways = [
        ("DELETE", "/clients/operator".to_owned(), None),
        ("PATCH", "/clients/operator".to_owned(), Some(json!({ "status": "disabled" }))),
        ("PATCH", "/clients/operator".to_owned(), Some(json!({ "tokens_per_minute": 0 }))),
        ("PATCH", "/clients/operator".to_owned(), Some(json!({ "tokens_per_day": 5 }))),
        ("PATCH", "/clients/operator".to_owned(), Some(json!({ "auth_methods": ["client_secret_post"] }))),
        ("DELETE", "/clients/operator/entitlements/admin-api".to_owned(), None),
        ("PUT", "/clients/operator/entitlements/admin-api".to_owned(), Some(narrow)),
        ("DELETE", format!("/clients/operator/secrets/{secret}?force=true"), None),
        ("PATCH", format!("/clients/operator/secrets/{secret}"), Some(json!({ "expires_at": now }))),
        ("POST", "/revocations".to_owned(), Some(json!({ "secret_id": secret }))),
    ];
    let short = operator.post("/clients/operator/secrets", json!({ "expires_at": now + 60 })).await;
    assert_eq!(short.status, 201, "a secret valid for a minute does not prevent a lockout");
    for (method, path, body) in &ways {
        let answer = operator.call(method, path, body.as_ref(), &[]).await;
        assert_eq!((answer.status, answer.problem().1.as_str()), (409, "conflict"), "{method} {path}: {answer}");
    }
    assert_eq!(
        operator.patch("/clients/operator", json!({ "owner": "ops" })).await.status,
        200,
        "this removes no administrator"
    );
    let date = async |operator: &Administrator, expires_at: i64| {
        operator.patch(&format!("/clients/operator/secrets/{secret}"), json!({ "expires_at": expires_at })).await.status
    };
    let later = json!({ "not_before": now + 6 * 86_400 });
    assert_eq!(operator.post("/clients/operator/secrets", later).await.status, 201);
    assert_eq!(date(&operator, now + 120).await, 409, "the next secret starts too late");
    assert_eq!(date(&operator, now + 6 * 86_400).await, 200, "the next secret starts in time");
    server.advance(60).await;
    // The short-lived secret has expired, and with it the tokens issued for it.
    let operator = server.operator().await;
    assert_eq!(date(&operator, now + 5 * 86_400).await, 409, "nor in several steps");
    assert_eq!(operator.patch("/clients/operator", json!({ "owner": "team" })).await.status, 200);
    for (id, what) in [("apis/admin-api", json!({ "name": "x" }))] {
        assert_eq!(operator.patch(&format!("/{id}"), what).await.status, 409);
    }
    assert_eq!(operator.delete("/apis/admin-api").await.status, 409);

    let all: Vec<String> = operator.get("/apis/admin-api").await.json()["scopes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|scope| scope["name"].as_str().unwrap().to_owned())
        .collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let second = with_scopes(&server, "second", &all).await;
    assert_eq!(second.delete("/clients/operator").await.status, 204, "another one is left");
    assert_eq!(operator.get("/clients").await.status, 401, "the first one's token is invalid");
    assert_eq!(second.delete("/clients/second").await.status, 409);
}

#[tokio::test]
async fn scopes_of_another_version_are_replaced_unless_it_is_newer() {
    let mut server = TestServer::start().await;
    let api = ApiId::parse("admin-api").unwrap();
    let token = ScopeToken::parse("secrets:read").unwrap();
    let rules = vec![PathRule::parse("GET /admin/v1/secrets").unwrap()];
    let other = ScopeDefinition { token, description: String::new(), rules, is_default: true };
    for (version, stays) in [("99", true), ("1", false)] {
        let put = async |change: &mut Change| {
            change.put_scope(&api, &other).await.unwrap();
            change.set_setting("admin_scopes_version", version).await.unwrap();
        };
        server.change(put).await;
        server = server.restart().await;
        let answer = server.operator().await.get("/apis/admin-api/scopes").await;
        let scopes = answer.json()["items"].as_array().unwrap().clone();
        assert_eq!(scopes.iter().any(|scope| scope["name"] == "secrets:read"), stays, "{version}: {answer}");
    }
}
