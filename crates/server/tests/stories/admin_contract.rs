//! Every operation of the OpenAPI document, right and wrong: each answer that it promises is met, and no other.

use std::collections::BTreeSet;

use countersign_protocol::user::UserId;
use countersign_store::NewSecondFactor;
use countersign_testkit::{Administrator, TestServer, documented_answers, met_answers};
use serde_json::{Value, json};

use crate::admin_access::with_scopes;

/// The operations, as `(METHOD, PATH)` with every parameter filled in by something that is there.
fn operations() -> BTreeSet<(String, String)> {
    let of = |answer: &String| {
        let mut words = answer.split(' ').map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    };
    documented_answers().iter().map(of).collect()
}

fn fill(template: &str) -> String {
    let id = match template.split('/').nth(1).unwrap() {
        "apis" => "oauthclient",
        "clients" => "demo-service",
        "users" => "demo",
        _ => "x",
    };
    let path = template.replace("{id}", id).replace("{name}", "all").replace("{api}", "oauthclient");
    path.replace("{secret}", "x").replace("{session}", "x").replace("{request_id}", "x")
}

/// What an operation is asked with, well formed.
fn body(method: &str, template: &str) -> Option<Value> {
    let body = match (method, template) {
        ("POST", "/apis") => json!({ "id": "x", "audience": "https://x.example" }),
        ("POST", "/apis/{id}/scopes") => json!({ "name": "x", "rules": ["GET /x"] }),
        ("POST", "/clients") => json!({ "client_id": "x" }),
        ("POST", "/users") => json!({ "login": "x" }),
        ("POST", "/keys/rotate") => json!({ "algorithm": "ES256" }),
        ("POST", "/revocations") => json!({ "client_id": "x" }),
        ("POST", "/keys/{id}/revoke") => return None,
        ("POST" | "PATCH" | "PUT", _) => json!({}),
        _ => return None,
    };
    Some(body)
}

/// What goes wrong alike with every operation: no token, a narrow one, a body that is none, a node cut off from its database.
async fn drive_what_all_share(server: &TestServer) {
    let operator = server.operator().await;
    let narrow = with_scopes(server, "narrow-audit", &["audit:read"]).await;
    let other = with_scopes(server, "narrow-keys", &["keys:read"]).await;
    let nobody = Administrator::with_token(server, "x");
    let cut_off = TestServer::start().await;
    let late = cut_off.operator().await;
    cut_off.advance_clock_alone(60);
    for (method, template) in operations() {
        let (path, body) = (fill(&template), body(&method, &template));
        let refuse = async |who: &Administrator, status: u16| {
            let answer = who.call(&method, &path, body.as_ref(), &[]).await;
            assert_eq!(answer.status, status, "{method} {path}: {answer}");
        };
        refuse(&nobody, 401).await;
        refuse(if template.starts_with("/audit") { &other } else { &narrow }, 403).await;
        refuse(&late, 503).await;
        if body.is_some() {
            for (content_type, size, status) in [("text/plain", 2, 415), ("application/json", 70_000, 413)] {
                let answer = operator.call_raw(&method, &path, content_type, vec![b' '; size]).await;
                assert_eq!(answer.status, status, "{method} {path}: {answer}");
            }
        }
    }
}

/// One call for each answer that is an operation's own, in an order in which each is possible.
async fn drive_each(server: &TestServer) {
    let operator = server.operator().await;
    let mut browser = server.demo_browser().await;
    browser.get("account/sessions").await.result();
    let session = operator.list("/users/demo/sessions").await[0]["id"].as_str().unwrap().to_owned();
    let secret = operator.list("/clients/demo-service/secrets").await[0]["id"].as_str().unwrap().to_owned();
    let key = operator.list_whole("/keys").await[0]["id"].as_str().unwrap().to_owned();
    let refused = server.stranger().token(&[("grant_type", "client_credentials")]).await;
    let refusal = refused.header("x-request-id").to_owned();
    let client = json!({ "scopes": ["all"], "grants": ["client_credentials"] });
    let stale = "stale";
    let calls = [
        ("GET", "/apis", None, 200),
        ("GET", "/apis?x=1", None, 400),
        ("POST", "/apis", Some(json!({ "id": "billing", "audience": "https://billing.example" })), 201),
        ("POST", "/apis", Some(json!({ "id": "billing", "audience": "https://x.example" })), 409),
        ("POST", "/apis", Some(json!({})), 400),
        ("GET", "/apis/billing", None, 200),
        ("GET", "/apis/x", None, 404),
        ("PATCH", "/apis/billing", Some(json!({ "name": "Billing" })), 200),
        ("PATCH", "/apis/billing", Some(json!({ "name": 7 })), 400),
        ("PATCH", "/apis/x", Some(json!({})), 404),
        ("PATCH", "/apis/admin-api", Some(json!({})), 409),
        ("PATCH", "/apis/billing", Some(json!({ "name": stale })), 412),
        ("GET", "/apis/billing/match?method=GET&path=/x", None, 200),
        ("GET", "/apis/billing/match", None, 400),
        ("GET", "/apis/x/match?method=GET&path=/x", None, 404),
        ("GET", "/apis/billing/scopes", None, 200),
        ("GET", "/apis/billing/scopes?x=1", None, 400),
        ("GET", "/apis/x/scopes", None, 404),
        ("POST", "/apis/billing/scopes", Some(json!({ "name": "read", "rules": ["GET .*"] })), 201),
        ("POST", "/apis/billing/scopes", Some(json!({ "name": "read", "rules": ["GET .*"] })), 409),
        ("POST", "/apis/billing/scopes", Some(json!({ "name": "read" })), 400),
        ("POST", "/apis/x/scopes", Some(json!({ "name": "read", "rules": ["GET .*"] })), 404),
        ("GET", "/apis/billing/scopes/read", None, 200),
        ("GET", "/apis/billing/scopes/x", None, 404),
        ("PATCH", "/apis/billing/scopes/read", Some(json!({ "default": true })), 200),
        ("PATCH", "/apis/billing/scopes/read", Some(json!({ "default": 7 })), 400),
        ("PATCH", "/apis/billing/scopes/x", Some(json!({})), 404),
        ("PATCH", "/apis/admin-api/scopes/apis:read", Some(json!({})), 409),
        ("PATCH", "/apis/billing/scopes/read", Some(json!({ "description": stale })), 412),
        ("GET", "/clients", None, 200),
        ("GET", "/clients?limit=0", None, 400),
        ("POST", "/clients", Some(json!({ "client_id": "job", "secret": {} })), 201),
        ("POST", "/clients", Some(json!({ "client_id": "job" })), 409),
        ("POST", "/clients", Some(json!({ "client_id": "a b" })), 400),
        ("GET", "/clients/job", None, 200),
        ("GET", "/clients/x", None, 404),
        ("PATCH", "/clients/job", Some(json!({ "name": "Job" })), 200),
        ("PATCH", "/clients/job", Some(json!({ "status": "x" })), 400),
        ("PATCH", "/clients/x", Some(json!({})), 404),
        ("PATCH", "/clients/operator", Some(json!({ "status": "disabled" })), 409),
        ("PATCH", "/clients/job", Some(json!({ "name": stale })), 412),
        ("PUT", "/clients/job/entitlements/oauthclient", Some(client.clone()), 200),
        ("PUT", "/clients/job/entitlements/oauthclient", Some(json!({})), 400),
        ("PUT", "/clients/x/entitlements/oauthclient", Some(client.clone()), 404),
        ("PUT", "/clients/operator/entitlements/admin-api", Some(json!({ "introspect": true })), 409),
        ("PUT", "/clients/job/entitlements/oauthclient", Some(json!({ "scopes": [stale] })), 412),
        ("GET", "/clients/job/entitlements", None, 200),
        ("GET", "/clients/x/entitlements", None, 404),
        ("GET", "/clients/job/entitlements/oauthclient", None, 200),
        ("GET", "/clients/job/entitlements/billing", None, 404),
        ("DELETE", "/clients/job/entitlements/oauthclient?stale", None, 412),
        ("DELETE", "/clients/job/entitlements/oauthclient", None, 204),
        ("DELETE", "/clients/job/entitlements/oauthclient", None, 404),
        ("DELETE", "/clients/operator/entitlements/admin-api", None, 409),
        ("GET", "/clients/job/secrets", None, 200),
        ("GET", "/clients/job/secrets?x=1", None, 400),
        ("GET", "/clients/x/secrets", None, 404),
        ("POST", "/clients/job/secrets", Some(json!({ "label": "x" })), 201),
        ("POST", "/clients/job/secrets", Some(json!({ "label": 7 })), 400),
        ("POST", "/clients/x/secrets", Some(json!({})), 404),
        ("POST", "/clients/job/secrets/rotate", Some(json!({})), 201),
        ("POST", "/clients/job/secrets/rotate", Some(json!({ "overlap_s": -1 })), 400),
        ("POST", "/clients/x/secrets/rotate", Some(json!({})), 404),
        ("GET", "/clients/demo-service/secrets/SECRET", None, 200),
        ("GET", "/clients/job/secrets/x", None, 404),
        ("PATCH", "/clients/demo-service/secrets/SECRET", Some(json!({ "label": "x" })), 200),
        ("PATCH", "/clients/demo-service/secrets/SECRET", Some(json!({ "label": 7 })), 400),
        ("PATCH", "/clients/job/secrets/x", Some(json!({})), 404),
        ("DELETE", "/clients/job/secrets/x", None, 404),
        ("DELETE", "/clients/job/secrets/x?force=x", None, 400),
        ("DELETE", "/clients/demo-service/secrets/SECRET?force=true", None, 204),
        ("DELETE", "/apis/billing?stale", None, 412),
        ("DELETE", "/apis/billing/scopes/read?stale", None, 412),
        ("DELETE", "/apis/oauthclient/scopes/all", None, 409),
        ("DELETE", "/apis/billing/scopes/read", None, 204),
        ("DELETE", "/apis/billing/scopes/read", None, 404),
        ("DELETE", "/apis/oauthclient", None, 409),
        ("DELETE", "/apis/billing", None, 204),
        ("DELETE", "/apis/billing", None, 404),
        ("DELETE", "/clients/job?stale", None, 412),
        ("DELETE", "/clients/job", None, 204),
        ("DELETE", "/clients/job", None, 404),
        ("DELETE", "/clients/operator", None, 409),
        ("GET", "/users", None, 200),
        ("GET", "/users?x=1", None, 400),
        ("POST", "/users", Some(json!({ "login": "ada" })), 201),
        ("POST", "/users", Some(json!({ "login": "ada" })), 409),
        ("POST", "/users", Some(json!({ "login": "" })), 400),
        ("GET", "/users/ada", None, 200),
        ("GET", "/users/x", None, 404),
        ("PATCH", "/users/ada", Some(json!({ "status": "disabled" })), 200),
        ("PATCH", "/users/ada", Some(json!({ "roles": ["x"] })), 400),
        ("PATCH", "/users/x", Some(json!({})), 404),
        ("PATCH", "/users/ada", Some(json!({ "status": stale })), 412),
        ("DELETE", "/users/demo/second-factor", None, 409),
        ("DELETE", "/users/x/second-factor", None, 404),
        ("GET", "/users/demo/sessions", None, 200),
        ("GET", "/users/demo/sessions?x=1", None, 400),
        ("GET", "/users/x/sessions", None, 404),
        ("DELETE", "/users/demo/sessions/SESSION", None, 204),
        ("DELETE", "/users/demo/sessions/SESSION", None, 404),
        ("DELETE", "/users/ada?stale", None, 412),
        ("DELETE", "/users/ada", None, 204),
        ("DELETE", "/users/ada", None, 404),
        ("GET", "/keys", None, 200),
        ("GET", "/keys/KEY", None, 200),
        ("GET", "/keys/x", None, 404),
        ("POST", "/keys/rotate", Some(json!({ "algorithm": "ES256" })), 201),
        ("POST", "/keys/rotate", Some(json!({ "algorithm": "ES256" })), 409),
        ("POST", "/keys/rotate", Some(json!({ "algorithm": "x" })), 400),
        ("POST", "/revocations", Some(json!({ "client_id": "demo-service" })), 200),
        ("POST", "/revocations", Some(json!({})), 400),
        ("POST", "/revocations", Some(json!({ "user": "x" })), 404),
        ("GET", "/usage", None, 200),
        ("GET", "/usage?x=1", None, 400),
        ("GET", "/usage/unused?since=0", None, 200),
        ("GET", "/usage/unused", None, 400),
        ("GET", "/refusals", None, 200),
        ("GET", "/refusals?limit=0", None, 400),
        ("GET", "/refusals/counts", None, 200),
        ("GET", "/refusals/counts?since=x", None, 400),
        ("GET", "/refusals/REFUSAL", None, 200),
        ("GET", "/refusals/x", None, 404),
        ("GET", "/audit", None, 200),
        ("GET", "/audit?after=x", None, 400),
        ("GET", "/audit/head", None, 200),
        ("GET", "/audit/verify", None, 200),
        ("GET", "/audit/verify?head=x", None, 400),
        ("POST", "/keys/x/revoke", None, 404),
        ("POST", "/keys/KEY/revoke", None, 204),
    ];
    for (method, path, body, status) in calls {
        let path = path.replace("SESSION", &session).replace("SECRET", &secret).replace("KEY", &key);
        let path = path.replace("REFUSAL", &refusal);
        let headers: &[(&str, &str)] = if status == 412 { &[("if-match", "\"another\"")] } else { &[] };
        let answer = operator.call(method, path.trim_end_matches("?stale"), body.as_ref(), headers).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer}");
    }
}

/// What takes more than one call to come to.
async fn drive_the_rest(server: &TestServer) {
    let operator = server.operator().await;
    let secrets = operator.list("/clients/operator/secrets").await;
    let id = secrets[0]["id"].as_str().unwrap();
    let revoke = operator.post("/revocations", json!({ "secret_id": id })).await;
    let date =
        operator.patch(&format!("/clients/operator/secrets/{id}"), json!({ "expires_at": server.state.now() })).await;
    let end = operator.delete(&format!("/clients/operator/secrets/{id}?force=true")).await;
    assert_eq!([revoke.status, date.status, end.status], [409; 3], "nobody could administer any more");
    for _ in 1..10 {
        operator.post("/clients/operator/secrets", json!({})).await;
    }
    for path in ["/clients/operator/secrets", "/clients/operator/secrets/rotate"] {
        assert_eq!(operator.post(path, json!({})).await.status, 409, "ten are the most");
    }
    let user_id = UserId::parse(&operator.get("/users/demo").await.text("id")).unwrap();
    let factor = NewSecondFactor {
        id: "f".to_owned(),
        user_id,
        kind: "totp",
        sealed_seed: vec![0],
        created_at: server.state.now(),
        last_step: 0,
    };
    server.change(async |change| change.insert_second_factor(&factor).await.unwrap()).await;
    assert_eq!(operator.delete("/users/demo/second-factor").await.status, 204);
}

#[tokio::test]
async fn every_answer_that_the_document_promises_is_met_and_no_other() {
    let server = TestServer::start().await;
    drive_what_all_share(&server).await;
    drive_the_rest(&server).await;
    drive_each(&server).await;
    let (documented, met) = (documented_answers(), met_answers());
    let missing: Vec<&String> = documented.difference(&met).collect();
    assert!(missing.is_empty(), "documented and never met: {missing:#?}");
}

#[tokio::test]
async fn the_document_lists_every_route_and_every_scope_that_opens_it() {
    let server = TestServer::start().await;
    let document = server.stranger().get("/admin/v1/openapi.json").await.json();
    let operator = server.operator().await;
    for (method, template) in operations() {
        let needed = &document["paths"][&template][method.to_lowercase()]["security"][0]["admin-api"][0];
        let path = format!("/admin/v1{}", fill(&template));
        let matches = operator.get(&format!("/apis/admin-api/match?method={method}&path={path}")).await.json();
        let scopes: Vec<&Value> = matches["matches"].as_array().unwrap().iter().map(|one| &one["scope"]).collect();
        assert_eq!(scopes, [needed], "{method} {template}");
    }
    let listed = &document["components"]["securitySchemes"]["admin-api"]["flows"]["clientCredentials"]["scopes"];
    let api = operator.get("/apis/admin-api").await.json();
    let defined: Vec<&str> =
        api["scopes"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(
        listed.as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>(),
        defined.into_iter().collect()
    );
    let source = include_str!("../../src/router.rs");
    let routed = source.matches("\"/admin/v1/").count();
    let templates: BTreeSet<String> = operations().into_iter().map(|(_, template)| template).collect();
    assert_eq!(routed, templates.len() + 1, "the router has one more: the document itself");
}
