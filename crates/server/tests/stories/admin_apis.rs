//! APIs and scopes: created, changed, matched and deleted. An error names the field and changes nothing.

use countersign_testkit::TestServer;
use serde_json::{Value, json};

#[tokio::test]
async fn creating_changing_and_deleting_an_api_affects_the_token_endpoint_immediately() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let made = operator.post("/apis", json!({ "id": "billing", "audience": "https://billing.example" })).await;
    assert_eq!((made.status, made.header("location")), (201, "/admin/v1/apis/billing"));
    assert_eq!(
        made.json(),
        json!({
            "id": "billing", "audience": "https://billing.example", "name": "billing",
            "grants": ["client_credentials"], "access_token_lifetime_s": 3600, "algorithm": "ES256",
            "refresh_idle_s": 604_800, "refresh_absolute_s": 2_592_000, "refresh_retry_s": 30, "scopes": [], "created_at": server.state.now(),
        })
    );
    let scope = json!({ "name": "invoices:read", "rules": ["GET /invoices(/.*)?"], "default": true });
    assert_eq!(operator.post("/apis/billing/scopes", scope).await.status, 201);
    let entitlement = json!({ "scopes": ["invoices:read"], "grants": ["client_credentials"] });
    assert_eq!(operator.put("/clients/demo-service/entitlements/billing", entitlement).await.status, 200);
    let ask = async || {
        let form = [("grant_type", "client_credentials"), ("resource", "https://billing.example")];
        server.demo_service().token(&form).await.json()
    };
    assert_eq!(
        (ask().await["scope"].clone(), ask().await["expires_in"].clone()),
        (json!("invoices:read"), json!(3600))
    );

    for algorithm in ["EdDSA", "RS256"] {
        let change = json!({ "access_token_lifetime_s": 60, "algorithm": algorithm, "name": " Billing " });
        let changed = operator.patch("/apis/billing", change).await;
        assert_eq!((changed.status, changed.json()["name"].as_str()), (200, Some("Billing")));
        assert_eq!(ask().await["expires_in"], 60);
    }
    let refused = operator.delete("/apis/billing").await;
    assert_eq!(refused.status, 409);
    assert!(refused.text("detail").contains("demo-service"), "{refused}");
    assert_eq!(operator.delete("/apis/billing/scopes/invoices:read").await.status, 409);
    assert_eq!(operator.delete("/clients/demo-service/entitlements/billing").await.status, 204);
    assert_eq!(ask().await["error"], "unauthorized_client");
    assert_eq!(operator.delete("/apis/billing/scopes/invoices:read").await.status, 204);
    assert_eq!(operator.delete("/apis/billing").await.status, 204);
    assert_eq!(ask().await["error"], "invalid_target");
    for gone in
        ["/apis/billing", "/apis/billing/scopes", "/apis/billing/scopes/x", "/apis/billing/match?method=GET&path=/"]
    {
        assert_eq!(operator.get(gone).await.problem().1, "not-found", "{gone}");
    }
}

#[tokio::test]
async fn an_invalid_api_is_refused_with_the_field_and_nothing_changes() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let before = operator.get("/apis").await.body;
    let with = |member: &str, value: Value| {
        let mut body = json!({ "id": "billing", "audience": "https://billing.example" });
        body[member] = value;
        body
    };
    for (member, value) in [
        ("id", json!("bill ing")),
        ("id", json!("Billing")),
        ("id", json!("")),
        ("id", json!("oauth2")),
        ("id", json!("x".repeat(64))),
        ("audience", json!("billing")),
        ("audience", json!("/billing")),
        ("audience", json!("https://billing.example#x")),
        ("audience", json!("https://billing.example/%zz")),
        ("audience", json!("https://billing.example/{id}")),
        ("audience", json!("https://billing.example/[")),
        ("audience", json!("https:///billing")),
        ("audience", json!(7)),
        ("access_token_lifetime_s", json!(0)),
        ("access_token_lifetime_s", json!(-1)),
        ("access_token_lifetime_s", json!(3_155_760_000_i64)),
        ("access_token_lifetime_s", json!("3600")),
        ("algorithm", json!("none")),
        ("algorithm", json!("HS256")),
        ("grants", json!(["implicit"])),
        ("grants", json!([])),
        ("refresh_idle_s", json!(0)),
        ("refresh_absolute_s", json!(1_000_000_000)),
        ("refresh_retry_s", json!(121)),
        ("refresh_retry_s", json!(-1)),
        ("refresh_idle_s", json!(31_536_000)),
        ("name", json!("two\nlines")),
        ("name", json!("turned \u{202E}round")),
        ("name", json!("tagged \u{E0041}")),
        ("name", json!("\u{3164}\u{2800}")),
        ("name", json!("x".repeat(201))),
        ("epoch", json!(1)),
    ] {
        let answer = operator.post("/apis", with(member, value.clone())).await;
        assert_eq!(answer.problem(), (400, "invalid".to_owned(), member.to_owned()), "{member} {value}: {answer}");
    }
    let twice = operator.post("/apis", with("id", json!("oauthclient"))).await;
    assert_eq!(twice.status, 409, "{twice}");
    let same_audience = operator.post("/apis", with("audience", json!("http://127.0.0.1:8080/resource"))).await;
    assert_eq!((same_audience.status, same_audience.text("detail").contains("oauthclient")), (409, true));
    assert_eq!(operator.post("/apis", json!({ "id": "billing" })).await.problem().2, "audience");
    assert_eq!(operator.patch("/apis/oauthclient", json!({ "id": "other" })).await.problem().2, "id");
    assert_eq!(operator.get("/apis").await.body, before);
}

#[tokio::test]
async fn rules_are_validated_and_a_path_can_be_tested_against_them() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let scope = |rule: &str| json!({ "name": "new", "rules": [rule] });
    let too_large = format!("GET /{}", "(a{100}){100}".repeat(20));
    for rule in [
        "",
        "GET",
        "GET (",
        "GET [",
        "FLY /x",
        "GET /(?i)x",
        "GET /x\nGET /y",
        "GET /x\0",
        "GET invoices",
        "GET  /x",
        too_large.as_str(),
    ] {
        let answer = operator.post("/apis/oauthclient/scopes", scope(rule)).await;
        assert_eq!(answer.problem(), (400, "invalid".to_owned(), "rules".to_owned()), "{rule}: {answer}");
    }
    for name in ["", "a b", "a\"b", "a/b", "a%2Fb", "..", "é"] {
        let answer = operator.post("/apis/oauthclient/scopes", json!({ "name": name, "rules": ["GET /x"] })).await;
        assert_eq!(answer.problem().2, "name", "{name}: {answer}");
    }
    assert_eq!(
        operator.post("/apis/oauthclient/scopes", json!({ "name": "x", "rules": [] })).await.problem().2,
        "rules"
    );
    assert_eq!(
        operator.post("/apis/oauthclient/scopes", json!({ "name": "all", "rules": ["GET /x"] })).await.status,
        409
    );
    assert_eq!(operator.post("/apis/oauthclient/scopes", scope("GET,POST /invoices(/.*)?")).await.status, 201);
    let earlier = json!({ "name": "earlier-by-name", "rules": ["GET /x"] });
    assert_eq!(operator.post("/apis/oauthclient/scopes", earlier).await.status, 201);
    let changed = operator.patch("/apis/oauthclient/scopes/new", json!({ "description": "Invoices" })).await;
    let scopes = operator.list("/apis/oauthclient/scopes").await;
    let names: Vec<&str> = scopes.iter().rev().take(2).map(|scope| scope["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["earlier-by-name", "new"], "oldest first");
    assert_eq!(operator.delete("/apis/oauthclient/scopes/earlier-by-name").await.status, 204);
    assert_eq!(changed.json()["rules"], json!(["GET,POST /invoices(/.*)?"]));

    let matches = async |method: &str, path: &str| {
        let answer = operator.get(&format!("/apis/oauthclient/match?method={method}&path={path}")).await;
        assert_eq!(answer.status, 200, "{answer}");
        answer.json()["matches"].clone()
    };
    let by_all = json!({ "scope": "all", "rule": "* .*" });
    let by_new = json!({ "scope": "new", "rule": "GET,POST /invoices(/.*)?" });
    assert_eq!(matches("GET", "/invoices/7").await, json!([by_all, by_new]));
    assert_eq!(matches("GET", "/invoices?page%3D2").await, json!([by_all, by_new]), "a query is not part of a path");
    assert_eq!(matches("HEAD", "/invoices").await, json!([by_all, by_new]), "GET implies HEAD");
    assert_eq!(matches("DELETE", "/invoices").await, json!([by_all]));
    for path in ["invoices", "", "/a/../b", "/a%252Fb", "//a", "/a;b"] {
        let answer = operator.get(&format!("/apis/oauthclient/match?method=GET&path={path}")).await;
        assert_eq!(answer.problem().2, "path", "{path}: {answer}");
    }
    assert_eq!(operator.get("/apis/oauthclient/match?method=GET").await.problem().2, "path");
    assert_eq!(operator.get("/apis/oauthclient/scopes?colour=red").await.problem().2, "colour");
}

#[tokio::test]
async fn of_two_changes_to_the_same_version_the_second_is_refused() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let seen = operator.get("/apis/oauthclient").await.header("etag").to_owned();
    let change = |name: &str| json!({ "name": name });
    let matching = [("if-match", seen.as_str())];
    let first = operator.call("PATCH", "/apis/oauthclient", Some(&change("One")), &matching).await;
    assert_eq!(first.status, 200, "{first}");
    let second = operator.call("PATCH", "/apis/oauthclient", Some(&change("Two")), &matching).await;
    assert_eq!(second.problem(), (412, "changed-meanwhile".to_owned(), "If-Match".to_owned()));
    assert_eq!(operator.call("DELETE", "/apis/oauthclient", None, &matching).await.status, 412);
    assert_eq!(operator.get("/apis/oauthclient").await.json()["name"], "One");
    let latest = [("if-match", first.header("etag"))];
    assert_eq!(operator.call("PATCH", "/apis/oauthclient", Some(&change("Two")), &latest).await.status, 200);
    let any = [("if-match", "*")];
    assert_eq!(operator.call("PATCH", "/apis/oauthclient", Some(&change("Three")), &any).await.status, 200);

    // Concurrent changes: each is applied completely or refused, and the log contains exactly the applied ones.
    let mut changing = tokio::task::JoinSet::new();
    let etag = operator.get("/apis/oauthclient").await.header("etag").to_owned();
    for number in 0..20 {
        let (operator, etag) = (operator.clone(), etag.clone());
        changing.spawn(async move {
            let body = json!({ "name": format!("At once {number}") });
            operator.call("PATCH", "/apis/oauthclient", Some(&body), &[("if-match", &etag)]).await.status
        });
    }
    let statuses = changing.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 412)), "{statuses:?}");
}
