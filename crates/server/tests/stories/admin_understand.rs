//! Usage, unused objects, and explanations of refusals.

use countersign_testkit::{Actor, TestServer};
use serde_json::{Value, json};

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 86_400;

async fn refused(actor: &Actor, form: &[(&str, &str)]) -> String {
    let answer = actor.token(form).await;
    assert!(answer.status >= 400, "{answer}");
    answer.header("x-request-id").to_owned()
}

#[tokio::test]
async fn a_refusal_is_explained_by_its_request_id_also_after_a_restart() {
    let server = TestServer::start().await;
    let demo = server.demo();
    let wrong = server.actor("demo-service", "a wrong secret of some length");
    let form = [("grant_type", "client_credentials"), ("scope", "reports:read nonsense"), ("secret", "x")];
    let id = refused(&wrong, &form).await;
    let expected = json!({
        "request_id": id, "at": server.state.now(), "endpoint": "token", "client_id": "demo-service",
        "address": "127.0.0.1", "error": "invalid_client", "reason": "the client has no such secret",
        "remedy": "use a current secret of this client, or create one: `secret create`",
        "presented": {
            "authorization": "Basic", "path_api": null, "grant_type": "client_credentials", "resource": [],
            "parameters": ["grant_type", "scope", "(unknown)"],
            "scope": ["reports:read", "(unknown, 8 characters)"], "client_secret_characters": null,
        },
    });
    let operator = server.operator().await;
    assert_eq!(operator.get(&format!("/refusals/{id}")).await.json(), expected);

    let unknown = refused(&server.actor("nobody-at-all", "a secret"), &[("grant_type", "client_credentials")]).await;
    let said = operator.get(&format!("/refusals/{unknown}")).await;
    assert_eq!((said.json()["client_id"].clone(), said.text("reason")), (Value::Null, "unknown client".to_owned()));
    let service = server.demo_service();
    let pasted = refused(&service, &[("grant_type", "client_credentials"), ("scope", demo.password.expose())]).await;
    let mistyped = refused(&service, &[("grant_type", demo.client_secret.expose())]).await;
    for id in [unknown, pasted, mistyped] {
        let body = operator.get(&format!("/refusals/{id}")).await.body;
        for secret in ["nobody-at-all", demo.password.expose(), demo.client_secret.expose(), "a secret"] {
            assert!(!body.contains(secret), "{body}");
        }
    }
    assert_eq!(operator.get("/refusals/unknown").await.problem().1, "not-found");
    let listed = operator.list_whole("/refusals?client_id=demo-service&limit=1").await;
    assert_eq!(listed.len(), 1);
    let server = server.restart().await;
    assert_eq!(server.operator().await.get(&format!("/refusals/{id}")).await.json(), expected);
}

#[tokio::test]
async fn a_flood_of_refusals_is_counted_and_does_not_fill_the_database() {
    let server = TestServer::start().await;
    let mut ids = Vec::new();
    for number in 0..50 {
        let nobody = server.actor(&format!("nobody-{number}"), "x");
        ids.push(refused(&nobody, &[("grant_type", "client_credentials")]).await);
    }
    let operator = server.operator().await;
    assert_eq!(operator.get(&format!("/refusals/{}", ids[49])).await.status, 200, "it is still in memory");
    assert_eq!(operator.list_whole("/refusals").await.len(), 20);
    let counted = operator.list_whole("/refusals/counts").await;
    let minute = server.state.now() - server.state.now() % 60;
    assert_eq!(counted, [json!({ "minute": minute, "client_id": null, "reason": "UnknownClient", "count": 30 })]);
    server.advance(8 * DAY_S).await;
    let operator = server.operator().await;
    assert_eq!(operator.list_whole("/refusals").await.len(), 0, "refusals are kept for a week");
    assert_eq!(operator.list_whole("/refusals/counts").await.len(), 0);
}

#[tokio::test]
async fn tokens_are_only_counted_by_hour_client_secret_api_and_grant() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let demo = server.demo();
    for _ in 0..3 {
        service.client_credentials("all").await;
    }
    service.password(&demo.username, demo.password.expose()).await.text("access_token");
    server.advance(HOUR_S).await;
    service.client_credentials("reports:read").await;
    refused(&service, &[("grant_type", "client_credentials"), ("scope", "nonsense")]).await;
    let hour = server.state.now() - server.state.now() % HOUR_S;
    let operator = server.operator().await;
    let rows = operator.list_whole("/usage?client_id=demo-service").await;
    let seen: Vec<_> =
        rows.iter().map(|row| (row["hour"].clone(), row["grant"].clone(), row["tokens"].clone())).collect();
    let expected =
        [(hour - HOUR_S, "client_credentials", 3), (hour - HOUR_S, "password", 1), (hour, "client_credentials", 1)];
    assert_eq!(seen, expected.map(|(hour, grant, tokens)| (json!(hour), json!(grant), json!(tokens))));
    assert_eq!((rows[0]["api"].as_str(), rows[0]["client_id"].as_str()), (Some("oauthclient"), Some("demo-service")));
    let page = operator.get("/usage?limit=2").await.json();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next"]), (2, &json!("2")));
    assert_eq!(operator.list_whole(&format!("/usage?client_id=demo-service&from={hour}")).await.len(), 1);
    assert_eq!(operator.list_whole(&format!("/usage?client_id=demo-service&to={hour}")).await.len(), 2);
    for query in ["after=-1", "from=x", "client=x"] {
        assert_eq!(operator.get(&format!("/usage?{query}")).await.status, 400, "{query}");
    }
    let server = server.restart().await;
    assert_eq!(
        server.operator().await.list_whole("/usage?client_id=demo-service").await,
        rows,
        "a clean shutdown loses nothing"
    );
}

#[tokio::test]
async fn unused_objects_are_listed() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    for id in ["idle", "busy"] {
        let made = operator.post("/clients", json!({ "client_id": id, "secret": {} })).await.json();
        let put = json!({ "scopes": ["all"], "grants": ["client_credentials"] });
        operator.put(&format!("/clients/{id}/entitlements/oauthclient"), put).await;
        if id == "busy" {
            let second = operator.post("/clients/busy/secrets", json!({ "label": "spare" })).await;
            assert_eq!(second.status, 201);
            let put = json!({ "scopes": ["audit:read"], "grants": ["client_credentials"] });
            operator.put("/clients/busy/entitlements/admin-api", put).await;
            let secret = made["secret"]["client_secret"].as_str().unwrap().to_owned();
            server.advance(31 * DAY_S).await;
            let asked = [("grant_type", "client_credentials"), ("resource", "http://127.0.0.1:8080/resource")];
            assert_eq!(server.actor("busy", &secret).token(&asked).await.status, 200);
        }
    }
    let operator = server.operator().await;
    let since = server.state.now() - 30 * DAY_S;
    let unused = operator.list_whole(&format!("/usage/unused?since={since}")).await;
    let of = |client: &str| -> Vec<&str> {
        let items = unused.iter().filter(|item| item["client_id"] == client);
        items.map(|item| item["kind"].as_str().unwrap()).collect()
    };
    assert_eq!((of("idle"), of("busy")), (vec!["client"], vec!["secret", "entitlement"]));
    operator
        .put(
            "/clients/busy/entitlements/admin-api",
            json!({ "scopes": ["audit:read"], "grants": ["client_credentials"] }),
        )
        .await;
    let now_given = operator.list_whole(&format!("/usage/unused?since={since}")).await;
    let of_busy = now_given.iter().filter(|item| item["client_id"] == "busy" && item["kind"] == "entitlement");
    assert_eq!(of_busy.count(), 0, "an entitlement from today is not unused");
    server.advance(2 * 60).await;
    let just_now = operator.list_whole(&format!("/usage/unused?since={}", server.state.now() - 3600)).await;
    let busy = just_now.iter().filter(|item| item["client_id"] == "busy" && item["api"] == "oauthclient");
    assert_eq!(busy.count(), 0, "a use within the last hour counts, whenever its hour began");
    let listed = operator.list_whole(&format!("/clients?unused_since={since}")).await;
    let ids: Vec<_> = listed.iter().map(|client| client["client_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["demo-service", "idle"]);
    assert_eq!(operator.get("/usage/unused").await.problem().2, "since");
}

#[tokio::test]
async fn a_client_gets_no_more_tokens_than_its_limits_and_is_told_when_to_retry() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let limits = json!({ "tokens_per_minute": 2, "tokens_per_day": 3 });
    let changed = operator.patch("/clients/demo-service", limits).await;
    assert_eq!((changed.status, changed.json()["tokens_per_day"].clone()), (200, json!(3)));
    let service = server.demo_service();
    let ask = async || service.token(&[("grant_type", "client_credentials")]).await;
    assert_eq!([ask().await.status, ask().await.status], [200, 200]);
    let refused = ask().await;
    assert_eq!(refused.refusal(), (429, "temporarily_unavailable".to_owned()));
    assert_eq!(refused.header("retry-after"), "60");
    let wrong = server.actor("demo-service", "wrong").token(&[("grant_type", "client_credentials")]).await;
    assert_eq!(wrong.status, 401, "an unauthenticated caller uses up nothing and learns nothing");
    server.advance(60).await;
    let nonsense = service.token(&[("grant_type", "client_credentials"), ("scope", "nonsense")]).await;
    assert_eq!(nonsense.status, 400, "a refused request does not count");
    assert_eq!(ask().await.status, 200);
    let refused = ask().await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, (DAY_S - 60).to_string().as_str()));
    assert!(refused.text("error_description").contains("day"), "{refused}");

    let operator = server.operator().await;
    let lifted = json!({ "tokens_per_minute": null, "tokens_per_day": null });
    assert_eq!(operator.patch("/clients/demo-service", lifted).await.json()["tokens_per_minute"], Value::Null);
    for _ in 0..5 {
        assert_eq!(ask().await.status, 200);
    }
    for wrong in [json!({ "tokens_per_minute": -1 }), json!({ "tokens_per_day": "many" })] {
        assert_eq!(operator.patch("/clients/demo-service", wrong.clone()).await.status, 400, "{wrong}");
    }
    let made = operator.post("/clients", json!({ "client_id": "small", "tokens_per_minute": 0 })).await;
    assert_eq!((made.status, made.json()["tokens_per_minute"].clone()), (201, json!(0)));
    let restarted = server.restart().await;
    assert_eq!(restarted.operator().await.get("/clients/small").await.json()["tokens_per_minute"], 0);
}
