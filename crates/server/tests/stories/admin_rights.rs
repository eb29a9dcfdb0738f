//! Administrators cannot use removed rights, and weaker ones cannot act on stronger ones.

use countersign_protocol::ids::{ApiId, ClientId};
use countersign_testkit::{Administrator, Answer, Browser, TestServer};
use serde_json::{Value, json};

use crate::admin_access::with_scopes;

const INACTIVE: &str = r#"{"active":false}"#;

#[tokio::test]
async fn an_administrator_who_lost_rights_has_no_token_to_regain_them() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let scopes = ["clients:read", "clients:write", "secrets:write"];
    let all = json!({ "scopes": scopes, "grants": ["client_credentials"] });
    for (id, narrowed) in [("robbed", None), ("narrowed", Some(json!(["clients:read"])))] {
        let stripped = with_scopes(&server, id, &scopes).await;
        let path = format!("/clients/{id}/entitlements/admin-api");
        let taken = match narrowed {
            None => operator.delete(&path).await,
            Some(left) => operator.put(&path, json!({ "scopes": left, "grants": ["client_credentials"] })).await,
        };
        assert!(taken.status < 300, "{taken}");
        assert_eq!(stripped.put(&path, all.clone()).await.status, 401, "{id} restores its rights");
        assert_eq!(stripped.post(&format!("/clients/{id}/secrets"), json!({})).await.status, 401);
        assert_eq!(stripped.post("/clients", json!({ "client_id": "accomplice" })).await.status, 401);
        assert_eq!(stripped.get("/clients").await.status, 401);
        assert_eq!(operator.put(&path, all.clone()).await.status, 200);
        assert_eq!(stripped.get("/clients").await.status, 401, "{id}: restored rights need a new token");
    }
}

#[tokio::test]
async fn revoking_an_administrators_secret_revokes_its_tokens() {
    let server = TestServer::start().await;
    let robbed = with_scopes(&server, "robbed", &["clients:read", "secrets:write"]).await;
    let operator = server.operator().await;
    let secret = operator.list("/clients/robbed/secrets").await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(operator.delete(&format!("/clients/robbed/secrets/{secret}?force=true")).await.status, 204);
    assert_eq!(robbed.get("/clients").await.status, 401, "without `for_cause`");
    assert_eq!(robbed.post("/clients/robbed/secrets", json!({})).await.status, 401, "it makes itself no other");
}

#[tokio::test]
async fn when_an_administrators_secret_expires_its_tokens_end() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let robbed = with_scopes(&server, "robbed", &["clients:read", "secrets:write"]).await;
    let rotated = operator.post("/clients/robbed/secrets/rotate", json!({ "overlap_s": 120 })).await;
    assert_eq!(rotated.status, 201, "{rotated}");
    server.advance(119).await;
    assert_eq!(robbed.get("/clients").await.status, 200);
    server.advance(1).await;
    assert_eq!(robbed.get("/clients").await.status, 401);
    assert_eq!(robbed.post("/clients/robbed/secrets", json!({})).await.status, 401);
    let secret = rotated.json()["client_secret"].as_str().unwrap().to_owned();
    let renewed = server.administrator("robbed", &secret).await;
    assert_eq!(renewed.get("/clients").await.status, 200, "with the new secret");
    server.advance(60).await;
    assert_eq!(renewed.get("/clients").await.status, 200);
}

#[tokio::test]
async fn a_right_removed_without_a_stored_removal_is_gone_too() {
    let server = TestServer::start().await;
    let writer = with_scopes(&server, "writer", &["clients:read", "clients:write"]).await;
    // As a version would do that does not store removals.
    server.tamper("UPDATE entitlements SET scopes = 'clients:read' WHERE client_id = 'writer'");
    server.change(async |_| ()).await;
    let refused = writer.post("/clients", json!({ "client_id": "accomplice" })).await;
    assert_eq!(refused.problem(), (403, "scope-missing".to_owned(), String::new()), "{refused}");
    assert_eq!(writer.get("/clients").await.status, 200, "the remaining right");
}

#[tokio::test]
async fn rights_are_checked_again_once_the_change_has_the_lock() {
    let server = TestServer::start().await;
    let writer = with_scopes(&server, "writer", &["clients:read", "clients:write"]).await;
    let mut first = server.state.store.begin_change(server.state.now()).await.unwrap();
    let waiting = tokio::spawn({
        let writer = writer.clone();
        async move { writer.post("/clients", json!({ "client_id": "accomplice" })).await }
    });
    // The call has passed the guard when it waits for the change that holds the lock.
    while server.state.is_change_free() {
        tokio::task::yield_now().await;
    }
    let (writer_id, admin_api) = (ClientId::parse("writer").unwrap(), ApiId::parse("admin-api").unwrap());
    first.disallow(&writer_id, &admin_api).await.unwrap();
    first.commit().await.unwrap();
    let late = waiting.await.unwrap();
    assert_eq!(late.problem(), (403, "rights-ended".to_owned(), String::new()), "{late}");
    assert_eq!(server.operator().await.get("/clients/accomplice").await.status, 404, "nothing changed");
}

#[tokio::test]
async fn nobody_can_act_on_a_stronger_client_or_user() {
    let server = TestServer::start().await;
    let mut demo = server.demo_browser().await;
    let weak = with_scopes(&server, "weak", &["users:read", "users:write", "tokens:revoke", "clients:write"]).await;
    let sessions = weak.list("/users/demo/sessions").await;
    let session = sessions[0]["id"].as_str().unwrap();
    let operator_token = token_of(&server).await;
    let not_yours = |answer: Answer| assert_eq!(answer.problem().1, "not-yours", "{answer}");
    not_yours(weak.delete(&format!("/users/demo/sessions/{session}")).await);
    not_yours(weak.post("/revocations", json!({ "user": "demo" })).await);
    not_yours(weak.post("/revocations", json!({ "client_id": "operator" })).await);
    not_yours(weak.post("/revocations", json!({ "token": operator_token })).await);
    let oauthclient = json!({ "scopes": ["all"], "grants": ["client_credentials"] });
    not_yours(weak.put("/clients/operator/entitlements/oauthclient", oauthclient.clone()).await);
    assert_eq!(demo.get("account/sessions").await.status, 200, "the session is still valid");
    assert_eq!(Administrator::with_token(&server, &operator_token).get("/clients").await.status, 200);

    let operator = server.operator().await;
    assert_eq!(operator.put("/clients/operator/entitlements/oauthclient", oauthclient).await.status, 200);
    not_yours(weak.delete("/clients/operator/entitlements/oauthclient").await);
    let service = server.demo_service();
    let leaked = service.client_credentials("all").await.text("access_token");
    assert_eq!(weak.post("/revocations", json!({ "token": leaked })).await.status, 200, "an ordinary token");
    assert_eq!(service.introspect(&leaked).await.body, INACTIVE);
    assert_eq!(operator.post("/revocations", json!({ "user": "demo" })).await.status, 200);
    assert_eq!(demo.get("account/sessions").await.status, 401);

    // A client that may introspect all tokens of `admin-api` is an administrator too.
    let introspect = json!({ "introspect": true });
    assert_eq!(operator.post("/clients", json!({ "client_id": "watcher" })).await.status, 201);
    assert_eq!(operator.put("/clients/watcher/entitlements/admin-api", introspect).await.status, 200);
    not_yours(weak.patch("/clients/watcher", json!({ "name": "Mine" })).await);
}

/// A token of the operator, as if it were leaked.
async fn token_of(server: &TestServer) -> String {
    let text = std::fs::read_to_string(server.directory().join("operator.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let operator = server.actor("operator", file["client_secret"].as_str().unwrap());
    let audience = format!("{}/admin", server.state.issuer);
    let form = [("grant_type", "client_credentials"), ("resource", &audience)];
    operator.token(&form).await.text("access_token")
}

#[tokio::test]
async fn anyone_who_may_revoke_keys_can_revoke_a_leaked_one() {
    let server = TestServer::start().await;
    let keys = with_scopes(&server, "keys", &["keys:read", "keys:write"]).await;
    let listed = keys.list_whole("/keys").await;
    let es256 = listed.iter().find(|key| key["algorithm"] == "ES256").unwrap()["id"].as_str().unwrap();
    let revoked = keys.call("POST", &format!("/keys/{es256}/revoke"), None, &[]).await;
    assert_eq!(revoked.status, 204, "{revoked}");
}

#[tokio::test]
async fn the_playground_cannot_use_admin_api() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let everything = json!({ "scopes": ["clients:read", "clients:write"], "grants": ["client_credentials"] });
    assert_eq!(operator.put("/clients/demo-service/entitlements/admin-api", everything).await.status, 200);
    server.add_user("ada", "correct horse").await;
    let mut ada = server.browser();
    ada.sign_in("ada", "correct horse").await;
    let ask = json!({ "authFlow": "OAUTH", "grantType": "client_credentials", "api": "admin-api", "scope": "" });
    for call in ["tokenRequestPreview", "tokenSet"] {
        let answer = ada.post(call, ask.clone()).await;
        assert_eq!(answer.fault(), (400, "bad_request".to_owned()), "{call}: {answer}");
        assert!(answer.text("ErrorMessage").starts_with("api: admin-api cannot be used in the playground"), "{answer}");
    }
    let page = ada.send(ada.request("GET", "/m2m")).await.body;
    assert!(!page.contains("admin-api"), "{page}");
    assert_eq!(ada.token_set().await["token_type"], "Bearer", "everything else still works");
    let found = token_of(&server).await;
    for call in ["introspect", "revokeToken"] {
        let answer = ada.post(call, json!({ "token": found })).await;
        assert_eq!(answer.fault(), (400, "bad_request".to_owned()), "{call}: {answer}");
    }

    let mut demo = server.demo_browser().await;
    let save = async |demo: &mut Browser, changes: Value| {
        let mut settings = json!({
            "oauthAppId": "oauthclient", "oauthServiceUserName": "demo-service", "oauthScopesSupported": "",
        });
        settings.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        demo.put("updateSettings", settings).await
    };
    let secret = json!({ "oauthServiceUserName": "operator", "oauthServiceUserPassword": "x".repeat(40) });
    for (changes, message) in [
        (json!({ "oauthAppId": "admin-api" }), "oauthAppId: admin-api cannot be used in the playground"),
        (secret, "oauthServiceUserName: operator cannot be used in the playground"),
    ] {
        let answer = save(&mut demo, changes).await;
        assert!(answer.status == 400 && answer.text("ErrorMessage").starts_with(message), "{answer}");
    }
    // Settings from before this was refused.
    server.tamper("UPDATE playground_settings SET api_id = 'admin-api'");
    server.change(async |_| ()).await;
    for (call, body) in [
        ("tokenSet", json!({ "authFlow": "OAUTH", "grantType": "client_credentials" })),
        ("introspect", json!({ "token": "x" })),
        ("refreshToken", json!({ "refresh_token": "x" })),
        ("revokeToken", json!({ "token": "x" })),
    ] {
        let answer = ada.post(call, body).await;
        assert_eq!(answer.fault(), (400, "bad_request".to_owned()), "{call}: {answer}");
        assert!(answer.text("ErrorMessage").contains("must first set oauthAppId"), "{call}: {answer}");
    }
    assert_eq!(ada.get("getUISettings").await.result()["oauthAppId"], "", "nor is it displayed");
}

#[tokio::test]
async fn a_secret_tested_through_settings_counts_as_an_attempt_and_only_for_administrators() {
    let server = TestServer::start().await;
    let mut demo = server.demo_browser().await;
    let wrong = json!({
        "oauthAppId": "oauthclient", "oauthServiceUserName": "demo-service",
        "oauthServiceUserPassword": "guess-guess-guess", "oauthScopesSupported": "",
    });
    let mut guesses = 0;
    let status = loop {
        match demo.put("updateSettings", wrong.clone()).await.status {
            400 if guesses < 2000 => guesses += 1,
            other => break other,
        }
    };
    assert_eq!((guesses, status), (100, 429), "the same limit as at the token endpoint");

    let server = TestServer::start().await;
    let mut demo = server.demo_browser().await;
    let mut first = server.state.store.begin_change(server.state.now()).await.unwrap();
    let waiting = tokio::spawn(async move { demo.put("updateSettings", wrong).await });
    while server.state.is_change_free() {
        tokio::task::yield_now().await;
    }
    let demo_user = server.state.store.find_password("demo").await.unwrap().unwrap().user_id;
    first.set_roles(&demo_user, &[]).await.unwrap();
    first.commit().await.unwrap();
    let late = waiting.await.unwrap();
    assert_eq!(late.fault(), (403, "not_allowed".to_owned()), "{late}");
}
