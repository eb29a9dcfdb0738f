//! Every operation of the OpenAPI document: each documented response occurs in a test, and no others occur.

use std::collections::BTreeSet;

use countersign_protocol::ids::UserId;
use countersign_store::NewSecondFactor;
use countersign_testkit::{Administrator, Answer, TestServer, documented_answers};
use serde_json::{Value, json};

use crate::admin_access::with_scopes;

/// The operations, as `(METHOD, PATH)`. Each parameter is filled with something that exists.
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

/// A valid body for an operation.
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

/// Drives the failures that all operations share: no token, a token with too few scopes, an invalid body, and a node without
/// its database, which is a separate server and is returned.
async fn drive_what_all_share(server: &TestServer) -> TestServer {
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
        for (header, value, status) in [("authorization", "Bearer x", 400), ("host", "elsewhere.example", 421)] {
            let answer = operator.call(&method, &path, body.as_ref(), &[(header, value)]).await;
            assert_eq!(answer.status, status, "{method} {path}, {header} {value}: {answer}");
        }
        if body.is_some() {
            for (content_type, size, status) in [("text/plain", 2, 415), ("application/json", 70_000, 413)] {
                let answer = operator.call_raw(&method, &path, content_type, vec![b' '; size]).await;
                assert_eq!(answer.status, status, "{method} {path}: {answer}");
            }
        }
    }
    cut_off
}

/// Calls, each as `STATUS METHOD PATH [BODY]`, in an order that makes each possible. For a 412, the ETag is wrong.
const CALLS: &str = r#"
200 GET /apis
400 GET /apis?x=1
201 POST /apis {"id":"billing","audience":"https://billing.example"}
409 POST /apis {"id":"billing","audience":"https://x.example"}
400 POST /apis {}
200 GET /apis/billing
404 GET /apis/x
200 PATCH /apis/billing {"name":"Billing"}
400 PATCH /apis/billing {"name":7}
404 PATCH /apis/x {}
409 PATCH /apis/admin-api {}
412 PATCH /apis/billing {"name":"stale"}
200 GET /apis/billing/match?method=GET&path=/x
400 GET /apis/billing/match
404 GET /apis/x/match?method=GET&path=/x
200 GET /apis/billing/scopes
400 GET /apis/billing/scopes?x=1
404 GET /apis/x/scopes
201 POST /apis/billing/scopes {"name":"read","rules":["GET .*"]}
409 POST /apis/billing/scopes {"name":"read","rules":["GET .*"]}
400 POST /apis/billing/scopes {"name":"read"}
404 POST /apis/x/scopes {"name":"read","rules":["GET .*"]}
200 GET /apis/billing/scopes/read
404 GET /apis/billing/scopes/x
200 PATCH /apis/billing/scopes/read {"default":true}
400 PATCH /apis/billing/scopes/read {"default":7}
404 PATCH /apis/billing/scopes/x {}
409 PATCH /apis/admin-api/scopes/apis:read {}
412 PATCH /apis/billing/scopes/read {"description":"stale"}
200 GET /clients
400 GET /clients?limit=0
201 POST /clients {"client_id":"job","secret":{}}
409 POST /clients {"client_id":"job"}
400 POST /clients {"client_id":"a b"}
200 GET /clients/job
404 GET /clients/x
200 PATCH /clients/job {"name":"Job"}
400 PATCH /clients/job {"status":"x"}
404 PATCH /clients/x {}
409 PATCH /clients/operator {"status":"disabled"}
412 PATCH /clients/job {"name":"stale"}
200 PUT /clients/job/entitlements/oauthclient {"scopes":["all"],"grants":["client_credentials"]}
400 PUT /clients/job/entitlements/oauthclient {}
404 PUT /clients/x/entitlements/oauthclient {"scopes":["all"],"grants":["client_credentials"]}
409 PUT /clients/operator/entitlements/admin-api {"introspect":true}
412 PUT /clients/job/entitlements/oauthclient {"scopes":["stale"]}
200 GET /clients/job/entitlements
404 GET /clients/x/entitlements
200 GET /clients/job/entitlements/oauthclient
404 GET /clients/job/entitlements/billing
412 DELETE /clients/job/entitlements/oauthclient
204 DELETE /clients/job/entitlements/oauthclient
404 DELETE /clients/job/entitlements/oauthclient
409 DELETE /clients/operator/entitlements/admin-api
200 GET /clients/job/secrets
400 GET /clients/job/secrets?x=1
404 GET /clients/x/secrets
201 POST /clients/job/secrets {"label":"x"}
400 POST /clients/job/secrets {"label":7}
404 POST /clients/x/secrets {}
201 POST /clients/job/secrets/rotate {}
409 POST /clients/job/secrets/rotate {}
201 POST /clients/job/secrets/rotate {"again":true}
400 POST /clients/job/secrets/rotate {"overlap_s":-1}
404 POST /clients/x/secrets/rotate {}
200 GET /clients/demo-service/secrets/SECRET
404 GET /clients/job/secrets/x
200 PATCH /clients/demo-service/secrets/SECRET {"label":"x"}
400 PATCH /clients/demo-service/secrets/SECRET {"label":7}
404 PATCH /clients/job/secrets/x {}
412 PATCH /clients/demo-service/secrets/SECRET {"label":"stale"}
404 DELETE /clients/job/secrets/x
400 DELETE /clients/job/secrets/x?force=x
412 DELETE /clients/demo-service/secrets/SECRET?force=true
204 DELETE /clients/demo-service/secrets/SECRET?force=true
412 DELETE /apis/billing
412 DELETE /apis/billing/scopes/read
409 DELETE /apis/oauthclient/scopes/all
204 DELETE /apis/billing/scopes/read
404 DELETE /apis/billing/scopes/read
409 DELETE /apis/oauthclient
204 DELETE /apis/billing
404 DELETE /apis/billing
412 DELETE /clients/job
204 DELETE /clients/job
404 DELETE /clients/job
409 DELETE /clients/operator
200 GET /users
400 GET /users?x=1
201 POST /users {"login":"ada"}
409 POST /users {"login":"ada"}
400 POST /users {"login":""}
200 GET /users/ada
404 GET /users/x
200 PATCH /users/ada {"status":"disabled"}
400 PATCH /users/ada {"roles":["x"]}
404 PATCH /users/x {}
412 PATCH /users/ada {"status":"stale"}
200 GET /users/demo/failed-attempts
404 GET /users/x/failed-attempts
204 DELETE /users/demo/failed-attempts
404 DELETE /users/x/failed-attempts
409 DELETE /users/demo/second-factor
404 DELETE /users/x/second-factor
200 GET /users/demo/sessions
400 GET /users/demo/sessions?x=1
404 GET /users/x/sessions
204 DELETE /users/demo/sessions/SESSION
404 DELETE /users/demo/sessions/SESSION
412 DELETE /users/ada
204 DELETE /users/ada
404 DELETE /users/ada
200 GET /keys
200 GET /keys/KEY
404 GET /keys/x
201 POST /keys/rotate {"algorithm":"ES256"}
409 POST /keys/rotate {"algorithm":"ES256"}
400 POST /keys/rotate {"algorithm":"x"}
200 POST /revocations {"client_id":"demo-service"}
400 POST /revocations {}
404 POST /revocations {"user":"x"}
200 GET /usage
400 GET /usage?x=1
200 GET /usage/unused?since=0
400 GET /usage/unused
200 GET /refusals
400 GET /refusals?limit=0
200 GET /refusals/counts
400 GET /refusals/counts?since=x
200 GET /refusals/REFUSAL
404 GET /refusals/x
200 GET /audit
400 GET /audit?after=x
200 GET /audit/head
200 GET /audit/verify
400 GET /audit/verify?head=x
404 POST /keys/x/revoke
204 POST /keys/KEY/revoke
200 POST /keys/KEY/revoke
"#;

/// Drives the responses that are specific to an operation.
async fn drive_each(server: &TestServer) {
    let operator = server.operator().await;
    let mut browser = server.demo_browser().await;
    browser.get("account/sessions").await.result();
    let session = operator.list("/users/demo/sessions").await[0]["id"].as_str().unwrap().to_owned();
    let secret = operator.list("/clients/demo-service/secrets").await[0]["id"].as_str().unwrap().to_owned();
    let keys = operator.list_whole("/keys").await;
    // The operator's own token was signed by another key.
    let key = keys.iter().find(|key| key["algorithm"] == "RS256").unwrap()["id"].as_str().unwrap().to_owned();
    let refused = server.stranger().token(&[("grant_type", "client_credentials")]).await;
    let refusal = refused.header("x-request-id").to_owned();
    for call in CALLS.lines().filter(|line| !line.is_empty()) {
        let mut words = call.splitn(4, ' ');
        let status: u16 = words.next().unwrap().parse().unwrap();
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let body: Option<Value> = words.next().map(|text| serde_json::from_str(text).unwrap());
        let path = path.replace("SESSION", &session).replace("SECRET", &secret).replace("KEY", &key);
        let path = path.replace("REFUSAL", &refusal);
        let headers: &[(&str, &str)] = if status == 412 { &[("if-match", "\"another\"")] } else { &[] };
        let answer = operator.call(method, &path, body.as_ref(), headers).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer}");
    }
}

/// Drives the responses that need several calls.
async fn drive_the_rest(server: &TestServer) {
    let operator = server.operator().await;
    let secrets = operator.list("/clients/operator/secrets").await;
    let id = secrets[0]["id"].as_str().unwrap();
    let revoke = operator.post("/revocations", json!({ "secret_id": id })).await;
    let date =
        operator.patch(&format!("/clients/operator/secrets/{id}"), json!({ "expires_at": server.state.now() })).await;
    let end = operator.delete(&format!("/clients/operator/secrets/{id}?force=true")).await;
    assert_eq!([revoke.status, date.status, end.status], [409; 3], "no administrator would be left");
    for _ in 1..10 {
        operator.post("/clients/operator/secrets", json!({})).await;
    }
    for path in ["/clients/operator/secrets", "/clients/operator/secrets/rotate"] {
        assert_eq!(operator.post(path, json!({})).await.status, 409, "ten is the limit");
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
async fn every_documented_response_occurs_and_no_other() {
    let server = TestServer::start().await;
    let cut_off = drive_what_all_share(&server).await;
    drive_the_rest(&server).await;
    drive_each(&server).await;
    let (documented, mut met) = (documented_answers(), server.met_answers());
    met.extend(cut_off.met_answers());
    let missing: Vec<&String> = documented.difference(&met).collect();
    assert!(missing.is_empty(), "documented but never received: {missing:#?}");
}

#[tokio::test]
async fn a_refusal_before_the_guard_is_a_problem() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    for path in ["/clients/a%0Ab", "/clients/a%00b", "/clients/a%2Fb", "/clients//x", "/clients/%7F/secrets"] {
        let answer = operator.get(path).await;
        assert_eq!(answer.problem(), (400, "invalid".to_owned(), "path".to_owned()), "{path}: {answer}");
    }
    let foreign = operator.call("GET", "/clients", None, &[("host", "elsewhere.example")]).await;
    assert_eq!(foreign.problem(), (421, "misdirected".to_owned(), "Host".to_owned()), "{foreign}");
}

#[tokio::test]
async fn null_and_empty_parameters_are_refused_where_they_mean_nothing() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    operator.post("/clients", json!({ "client_id": "job" })).await;
    for (method, path, body, field) in [
        ("POST", "/apis", json!({ "id": "x", "audience": "https://x.example", "grants": null }), "grants"),
        ("PATCH", "/clients/job", json!({ "name": null }), "name"),
        ("POST", "/clients", json!({ "client_id": "x", "secret": null }), "secret"),
        ("POST", "/clients/job/secrets/rotate", json!({ "overlap_s": null }), "overlap_s"),
        ("POST", "/users", json!({ "login": "ada", "password": null }), "password"),
    ] {
        let answer = operator.call(method, path, Some(&body), &[]).await;
        assert_eq!(answer.problem(), (400, "invalid".to_owned(), field.to_owned()), "{path}: {answer}");
    }
    for (path, field) in
        [("/clients?limit=", "limit"), ("/usage?to=", "to"), ("/clients?unused_since=", "unused_since")]
    {
        let answer = operator.get(path).await;
        assert_eq!(answer.problem(), (400, "invalid".to_owned(), field.to_owned()), "{path}: {answer}");
    }
    let limit = |answer: Answer| answer.json()["tokens_per_day"].clone();
    assert_eq!(limit(operator.patch("/clients/job", json!({ "tokens_per_day": 7 })).await), 7);
    assert_eq!(limit(operator.patch("/clients/job", json!({ "tokens_per_day": null })).await), json!(null));
}

#[tokio::test]
async fn the_document_lists_every_route_and_the_scopes_that_allow_it() {
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
}

/// The paths below `/admin/v1` in the router's source.
fn routed() -> BTreeSet<String> {
    let parts = include_str!("../../src/router.rs").split("\"/admin/v1").skip(1);
    parts.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_document_has_every_path_of_the_router_and_undocumented_methods_are_refused() {
    let operations = operations();
    let mut templates: BTreeSet<String> = operations.iter().map(|(_, template)| template.clone()).collect();
    templates.insert("/openapi.json".to_owned());
    assert_eq!(routed(), templates);
    let server = TestServer::start().await;
    let operator = server.operator().await;
    templates.remove("/openapi.json");
    for template in templates {
        let mut refused = 0;
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].map(str::to_owned) {
            if !operations.contains(&(method.clone(), template.clone())) {
                let answer = operator.call(&method, &fill(&template), None, &[]).await;
                // The guard refuses methods that no scope allows before the router sees them.
                assert!(matches!(answer.status, 403 | 405), "{method} {template}: {answer}");
                refused += 1;
            }
        }
        assert!(refused > 0, "{template} has a method that is not documented");
    }
}
