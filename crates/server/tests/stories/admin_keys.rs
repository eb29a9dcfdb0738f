//! Signing keys rotate while every token stays valid. A leaked key is revoked immediately.

use countersign_testkit::{Administrator, TestServer};
use serde_json::{Value, json};

const DAY_S: i64 = 86_400;

/// The IDs of the keys in a state, for one algorithm.
async fn keys(operator: &Administrator, state: &str) -> Vec<String> {
    let is = |key: &&Value| key["state"] == state && key["algorithm"] == "RS256";
    let all = operator.list_whole("/keys").await;
    all.iter().filter(is).map(|key| key["id"].as_str().unwrap().to_owned()).collect()
}

async fn published(server: &TestServer) -> Vec<String> {
    let set = server.stranger().get("/oauth2/jwks").await.json();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn token(server: &TestServer) -> String {
    server.demo_service().client_credentials("all").await.text("access_token")
}

async fn lives(server: &TestServer, token: &str) -> bool {
    server.demo_service().introspect(token).await.json()["active"] == true
}

fn signed_by(token: &str) -> String {
    use base64::Engine;
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_successor_is_published_before_it_signs_and_the_old_key_verifies_until_its_last_token_expires() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let old = keys(&operator, "active").await.remove(0);
    let rotated = operator.post("/keys/rotate", json!({ "algorithm": "RS256" })).await;
    assert_eq!((rotated.status, rotated.json()["signs_at"].clone()), (201, json!(server.state.now() + 900)));
    let new = rotated.text("id");
    assert_eq!(operator.post("/keys/rotate", json!({ "algorithm": "RS256" })).await.status, 409, "one at a time");
    assert!(published(&server).await.contains(&new));
    let by_old = token(&server).await;
    assert_eq!(signed_by(&by_old), old);

    server.advance(899).await;
    assert_eq!(signed_by(&token(&server).await), old);
    let last_by_old = token(&server).await;
    server.advance(1).await;
    let by_new = token(&server).await;
    assert_eq!(signed_by(&by_new), new);
    assert!(lives(&server, &by_old).await && lives(&server, &last_by_old).await && lives(&server, &by_new).await);
    let operator = server.operator().await;
    assert_eq!(keys(&operator, "retiring").await, std::slice::from_ref(&old));

    // The demo's tokens are valid for two hours, and the key is kept one minute longer.
    server.advance(7198).await;
    assert!(lives(&server, &last_by_old).await);
    server.advance(61).await;
    assert!(published(&server).await.contains(&old));
    server.advance(1).await;
    assert!(!published(&server).await.contains(&old));
    assert_eq!(keys(&server.operator().await, "retired").await, [old]);
    assert!(lives(&server, &token(&server).await).await);
}

#[tokio::test]
async fn keys_rotate_automatically_after_thirty_days_and_survive_a_restart() {
    let server = TestServer::start().await;
    let old = keys(&server.operator().await, "active").await.remove(0);
    server.advance(30 * DAY_S - 901).await;
    assert_eq!(keys(&server.operator().await, "pending").await.len(), 0);
    server.advance(1).await;
    let pending = keys(&server.operator().await, "pending").await;
    assert_eq!(pending.len(), 1);
    let server = server.restart().await;
    server.advance(900).await;
    assert_eq!(signed_by(&token(&server).await), pending[0]);
    assert_eq!(keys(&server.operator().await, "retiring").await, [old]);
    let actors = server.operator().await.list("/audit").await;
    let steps: Vec<_> = actors
        .iter()
        .filter(|record| record["actor"] == "countersign")
        .map(|record| record["action"].clone())
        .collect();
    assert!(steps.contains(&json!("key.prepare")) && steps.contains(&json!("key.activate")), "{steps:?}");
}

#[tokio::test]
async fn a_previously_longer_token_lifetime_keeps_the_old_key_longer() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    assert_eq!(operator.patch("/apis/oauthclient", json!({ "access_token_lifetime_s": DAY_S })).await.status, 200);
    let long = token(&server).await;
    assert_eq!(operator.patch("/apis/oauthclient", json!({ "access_token_lifetime_s": 60 })).await.status, 200);
    assert_eq!(operator.post("/keys/rotate", json!({ "algorithm": "RS256" })).await.status, 201);
    server.advance(900).await;
    server.advance(DAY_S - 901).await;
    assert!(lives(&server, &long).await, "its key still verifies");
    server.advance(962).await;
    assert!(!published(&server).await.contains(&signed_by(&long)));
}

#[tokio::test]
async fn a_leaked_key_is_revoked_immediately_with_its_tokens_and_another_one_signs() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let active = keys(&operator, "active").await.remove(0);
    let dead = token(&server).await;
    assert_eq!(operator.call("POST", &format!("/keys/{active}/revoke"), None, &[]).await.status, 204);
    assert!(!lives(&server, &dead).await && !published(&server).await.contains(&active));
    let next = token(&server).await;
    assert!(lives(&server, &next).await && signed_by(&next) != active);

    // A pending key takes over, because verifiers already know it.
    let pending = operator.post("/keys/rotate", json!({ "algorithm": "RS256" })).await.text("id");
    let revoked = operator.post("/revocations", json!({ "key_id": signed_by(&next) })).await;
    assert_eq!(revoked.json(), json!({ "revoked": { "kind": "key", "id": signed_by(&next) } }));
    assert_eq!(signed_by(&token(&server).await), pending);
    let unknown = operator.call("POST", "/keys/nothing/revoke", None, &[]).await;
    assert_eq!(unknown.problem().1, "not-found");
    let records = operator.list("/audit").await.len();
    let again = operator.call("POST", &format!("/keys/{active}/revoke"), None, &[]).await;
    assert_eq!((again.status, &again.json()["state"]), (200, &json!("retired")), "it is already retired");
    let again = operator.post("/revocations", json!({ "key_id": active })).await;
    assert_eq!(again.json(), json!({ "revoked": { "kind": "key", "id": active } }));
    assert_eq!(operator.list("/audit").await.len(), records, "nothing changed");
    assert_eq!(operator.get(&format!("/keys/{active}")).await.json()["state"], "retired");
    assert_eq!(operator.get(&format!("/keys/{pending}")).await.json()["state"], "active");
    assert_eq!(operator.post("/keys/rotate", json!({ "algorithm": "HS256" })).await.problem().2, "algorithm");
    assert_eq!(
        operator.post("/keys/rotate", json!({ "algorithm": "EdDSA" })).await.status,
        409,
        "nothing signs with it"
    );

    // It is also the administrator's own key, so the token is now invalid and a new one is needed.
    let own = operator.list_whole("/keys").await;
    let own = own.iter().find(|key| key["algorithm"] == "ES256").unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(operator.call("POST", &format!("/keys/{own}/revoke"), None, &[]).await.status, 204);
    assert_eq!(operator.get("/keys").await.status, 401);
    assert_eq!(server.operator().await.get("/keys").await.status, 200);
}
