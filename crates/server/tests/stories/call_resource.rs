//! Calling a resource from the playground: it is allowed or refused, with the rule that decided.

use countersign_protocol::grant_type::GrantType::ClientCredentials;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_server::keys::first_key::provide_missing;
use countersign_testkit::{Browser, MayAsk, NewTestApi, NewTestClient, TestServer};
use serde_json::{Value, json};

async fn token(browser: &mut Browser, scope: &str) -> Value {
    let ask = json!({ "authFlow": "OAUTH", "grantType": "client_credentials", "scope": scope });
    browser.post("tokenSet", ask).await.result()["access_token"].clone()
}

async fn call(browser: &mut Browser, token: &Value, method: &str, path: &str) -> Value {
    browser.post("callResource", json!({ "token": token, "method": method, "path": path })).await.result()
}

#[tokio::test]
async fn allowed_and_forbidden_paths_and_methods_name_the_rule() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let (all, narrow) = (token(&mut browser, "all").await, token(&mut browser, "reports:read").await);
    for (token, method, path, status, allowed, scope) in [
        (&all, "GET", "/resource/whoami", 200, true, json!("all")),
        (&all, "POST", "/resource/reports", 201, true, json!("all")),
        (&all, "DELETE", "/resource/reports", 405, true, json!("all")),
        (&all, "GET", "/resource/nothing", 404, true, json!("all")),
        (&narrow, "GET", "/resource/reports", 200, true, json!("reports:read")),
        (&narrow, "HEAD", "/resource/reports", 200, true, json!("reports:read")),
        (&narrow, "POST", "/resource/reports", 403, false, Value::Null),
        (&narrow, "GET", "/resource/whoami", 403, false, Value::Null),
        (&narrow, "GET", "/resource/reports%2F..", 400, false, Value::Null),
    ] {
        let result = call(&mut browser, token, method, path).await;
        let decision = &result["decision"];
        assert_eq!(
            (&result["status"], &decision["allowed"]),
            (&json!(status), &json!(allowed)),
            "{method} {path}: {result}"
        );
        assert_eq!(decision["scope"], scope, "{method} {path}");
        assert_eq!(decision["rule"].is_null(), !allowed);
        assert!(!decision["reason"].as_str().unwrap().is_empty());
        assert_eq!(result["request"]["url"], format!("http://127.0.0.1:8080{path}"));
        assert_eq!(result["request"]["headers"]["authorization"], "Bearer ********");
    }
    let refused = call(&mut browser, &narrow, "POST", "/resource/reports").await;
    let reason = refused["decision"]["reason"].as_str().unwrap();
    assert!(reason.contains("reports:read") && reason.contains("all, reports:write"), "{reason}");
    assert!(refused["headers"]["www-authenticate"].as_str().unwrap().contains("insufficient_scope"));
    let listed = call(&mut browser, &all, "GET", "/resource/reports?x=1").await;
    assert!(listed["body"].as_str().unwrap().contains("Written from the playground"));
}

#[tokio::test]
async fn an_invalid_token_is_refused_before_any_rule_and_a_revoked_one_immediately() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let all = token(&mut browser, "all").await;
    for bad in ["", "garbage", "a.b.c"] {
        let result = call(&mut browser, &bad.into(), "GET", "/resource/whoami").await;
        assert_eq!((&result["status"], &result["decision"]["allowed"]), (&json!(401), &json!(false)), "{bad}");
    }
    assert_eq!(browser.post("revokeToken", json!({ "token": all })).await.result(), true);
    let result = call(&mut browser, &all, "GET", "/resource/whoami").await;
    assert_eq!(result["status"], 401);
    assert!(result["decision"]["reason"].as_str().unwrap().contains("was revoked"), "{result}");
}

#[tokio::test]
async fn a_token_for_another_api_is_refused_because_of_its_audience() {
    let server = TestServer::start().await;
    let (id, secret) = ("stock", "a secret that was made elsewhere, long");
    server
        .add_api(NewTestApi { id, scopes: &["read"], grants: &[ClientCredentials], algorithm: Algorithm::Es256 })
        .await;
    let may_ask: &[MayAsk<'_>] = &[(id, "read", &[ClientCredentials])];
    server.add_client(NewTestClient { id: "clerk", secret, may_ask, may_introspect: &[] }).await;
    provide_missing(&server.state).await.unwrap();
    let token = server.actor("clerk", secret).token(&[("grant_type", "client_credentials")]).await.text("access_token");
    let mut browser = server.demo_browser().await;
    let result = call(&mut browser, &token.into(), "GET", "/resource/whoami").await;
    assert_eq!(result["status"], 401);
    // The page explains this one itself, and recognizes it by these words (`static/resource.js`).
    assert!(result["decision"]["reason"].as_str().unwrap().ends_with("wrong audience"), "{result}");
}

#[tokio::test]
async fn only_the_demonstration_resources_can_be_called() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let all = token(&mut browser, "all").await;
    for (method, path) in [
        ("GET", "/oauth2/jwks"),
        ("GET", "/resourceful"),
        ("GET", "resource/whoami"),
        ("GET", "http://evil.example/resource"),
        ("GET", "//evil.example/resource"),
        ("GET", "/resource/a b"),
        ("GET", "/resource/\n"),
        ("GET", ""),
        ("TRACE", "/resource/whoami"),
        ("get", "/resource/whoami"),
        ("", "/resource/whoami"),
    ] {
        let body = json!({ "token": all, "method": method, "path": path });
        let answer = browser.post("callResource", body).await;
        assert_eq!(answer.fault(), (400, "bad_request".to_owned()), "{method} {path}: {answer}");
    }
    for path in ["/resource/../oauth2/jwks", "/resource/%2e%2e/x", "/resource//x"] {
        assert_eq!(call(&mut browser, &all, "GET", path).await["status"], 400, "{path}");
    }
}
