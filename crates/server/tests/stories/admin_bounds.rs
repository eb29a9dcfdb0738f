//! Limits on what administrators can store, because every node keeps all of it in memory.

use countersign_protocol::api::{Api, RefreshPolicy, ScopeDefinition};
use countersign_protocol::audience::Audience;
use countersign_protocol::client::Entitlement;
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::ids::{ApiId, ClientId};
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::path_rule::PathRule;
use countersign_protocol::scope::Scope;
use countersign_protocol::scope_token::ScopeToken;
use countersign_testkit::{Answer, TestServer};
use serde_json::json;

/// A rule whose compiled pattern takes 100 KB.
fn heavy_rule(number: usize) -> String {
    format!("GET /{number}/\\w+/x")
}

/// An API whose scopes have 50 rules each and are named `0`, `1` and so on.
fn api(id: &str, scopes: usize) -> Api {
    let rules = |scope: usize| (0..50).map(|rule| PathRule::from_stored(&heavy_rule(scope * 50 + rule))).collect();
    let scope = |number: usize| ScopeDefinition {
        token: ScopeToken::parse(&number.to_string()).unwrap(),
        description: String::new(),
        rules: rules(number),
        is_default: false,
    };
    Api {
        id: ApiId::parse(id).unwrap(),
        audience: Audience::parse(&format!("https://{id}.example")).unwrap(),
        name: id.to_owned(),
        scopes: (0..scopes).map(scope).collect(),
        grants: [GrantType::ClientCredentials].into_iter().collect(),
        access_token_lifetime_s: 3600,
        algorithm: Algorithm::Es256,
        refresh: RefreshPolicy::default(),
        epoch: 0,
        removals: Box::default(),
    }
}

fn assert_names_bound(answer: &Answer, bound: &str) {
    assert_eq!(answer.problem().1, "conflict", "{answer}");
    assert!(answer.text("detail").contains(bound), "{answer}");
}

#[tokio::test]
async fn an_api_has_at_most_2000_rules() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.change(async |change| change.insert_api(&api("large", 40)).await.unwrap()).await;
    let one_more = json!({ "name": "more", "rules": ["GET /x"] });
    assert_names_bound(&operator.post("/apis/large/scopes", one_more.clone()).await, "the limit is 2000;");
    let rules = |count: usize| json!({ "rules": (0..count).map(|n| format!("GET /{n}")).collect::<Vec<_>>() });
    assert_eq!(operator.patch("/apis/large/scopes/7", rules(50)).await.status, 200, "as many as before");
    assert_eq!(operator.patch("/apis/large/scopes/7", rules(49)).await.status, 200, "one fewer");
    assert_eq!(operator.post("/apis/large/scopes", one_more).await.status, 201, "there is room for one more");
    assert_names_bound(&operator.patch("/apis/large/scopes/7", rules(50)).await, "the limit is 2000;");
}

#[tokio::test]
async fn all_apis_together_have_at_most_20000_rules() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server
        .change(async |change| {
            for number in 0..10 {
                change.insert_api(&api(&format!("large-{number}"), 40)).await.unwrap();
            }
        })
        .await;
    let one_more = json!({ "name": "more", "rules": ["GET /x"] });
    assert_names_bound(&operator.post("/apis/oauthclient/scopes", one_more).await, "the limit is 20000;");
    let two = json!({ "rules": ["GET /x", "GET /y"] });
    assert_names_bound(&operator.patch("/apis/oauthclient/scopes/all", two).await, "the limit is 20000;");
    assert_eq!(operator.patch("/apis/oauthclient/scopes/all", json!({ "description": "Any" })).await.status, 200);
    assert_eq!(operator.patch("/apis/large-3/scopes/7", json!({ "rules": ["GET /x"] })).await.status, 200);
}

#[tokio::test]
async fn a_change_recompiles_no_rule_and_a_rule_that_is_never_matched_is_never_compiled() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.change(async |change| change.insert_api(&api("large", 2)).await.unwrap()).await;
    let rules = |id: &str| -> Vec<PathRule> {
        let registry = server.state.registry.current();
        registry.find_api(id).unwrap().scopes.iter().flat_map(|scope| scope.rules.clone()).collect()
    };
    assert_eq!(operator.get("/apis/large").await.status, 200);
    let before = rules("admin-api");
    assert!(before.iter().any(PathRule::is_compiled), "the guard of the admin API has matched rules");
    let scope = json!({ "name": "new", "rules": ["GET /x"] });
    assert_eq!(operator.post("/apis/large/scopes", scope).await.status, 201);
    for (old, new) in before.iter().zip(rules("admin-api")).filter(|(old, _)| old.is_compiled()) {
        assert!(old.is_shared_with(&new), "recompiled: {old:?}");
    }

    let matches = operator.get("/apis/large/match?method=GET&path=/7/a/x").await.json();
    assert_eq!(matches["matches"], json!([{ "scope": "0", "rule": heavy_rule(7) }]));
    assert!(!rules("large").iter().any(PathRule::is_compiled), "a rule that was tested once is not kept compiled");
}

#[tokio::test]
async fn a_stored_rule_that_does_not_compile_matches_nothing_and_the_server_still_starts() {
    let server = TestServer::start().await;
    server.change(async |change| change.insert_api(&api("large", 1)).await.unwrap()).await;
    server.tamper("UPDATE scopes SET rules = 'GET (' WHERE api_id = 'large'");
    let server = server.restart().await;
    let operator = server.operator().await;
    assert_eq!(operator.get("/apis/large/scopes/0").await.json()["rules"], json!(["GET ("]));
    assert_eq!(operator.get("/apis/large/match?method=GET&path=/(").await.json()["matches"], json!([]));
    assert_eq!(operator.patch("/apis/large/scopes/0", json!({ "rules": ["GET /x"] })).await.status, 200);
}

#[tokio::test]
async fn there_are_at_most_10000_apis() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let present = operator.list("/apis").await.len();
    server
        .change(async |change| {
            for number in present..10_000 {
                change.insert_api(&api(&format!("api-{number}"), 0)).await.unwrap();
            }
        })
        .await;
    let new = json!({ "id": "one-more", "audience": "https://one-more.example" });
    assert_names_bound(&operator.post("/apis", new.clone()).await, "10000 APIs");
    assert_eq!(operator.delete("/apis/api-9999").await.status, 204);
    assert_eq!(operator.post("/apis", new).await.status, 201);
}

#[tokio::test]
async fn a_client_is_entitled_to_at_most_200_apis() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    assert_eq!(operator.post("/clients", json!({ "client_id": "job" })).await.status, 201);
    let job = ClientId::parse("job").unwrap();
    let scopes = Scope::parse("0").unwrap();
    let what = Entitlement { scopes, grants: [GrantType::ClientCredentials].into_iter().collect() };
    server
        .change(async |change| {
            for number in 0..201 {
                let api = api(&format!("api-{number}"), 1);
                change.insert_api(&api).await.unwrap();
                if number < 200 {
                    change.allow_ask(&job, &api.id, &what).await.unwrap();
                }
            }
        })
        .await;
    let entitlement = json!({ "scopes": ["0"], "grants": ["client_credentials"] });
    let put = async |api: &str| operator.put(&format!("/clients/job/entitlements/{api}"), entitlement.clone()).await;
    assert_names_bound(&put("api-200").await, "200 entitlements");
    assert_eq!(put("api-7").await.status, 200, "an existing entitlement can be changed");
    assert_eq!(operator.delete("/clients/job/entitlements/api-7").await.status, 204);
    assert_eq!(put("api-200").await.status, 200);
}
