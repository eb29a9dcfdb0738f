//! Users, their sessions, and the revocation of any token.

use countersign_testkit::TestServer;
use serde_json::{Value, json};

#[tokio::test]
async fn a_user_is_created_signs_in_changes_and_is_deleted_with_all_tokens_and_sessions() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let made = operator.post("/users", json!({ "login": "ada" })).await;
    assert_eq!(made.status, 201, "{made}");
    let (id, password) = (made.text("id"), made.text("password"));
    assert_eq!(made.header("location"), format!("/admin/v1/users/{id}"));
    assert_eq!(operator.get("/users/ada").await.body, operator.get(&format!("/users/{id}")).await.body);
    assert_eq!(operator.get("/users/ada").await.json()["password"], Value::Null);
    let service = server.demo_service();
    let lives = async |token: &str| service.introspect(token).await.json()["active"] == true;
    let token = service.password("ada", &password).await.text("access_token");
    let mut browser = server.browser();
    assert_eq!(browser.sign_in("ada", &password).await.status, 200);
    let asked = browser.token_set().await["access_token"].as_str().unwrap().to_owned();
    assert!(lives(&token).await && lives(&asked).await);

    let sessions = operator.list("/users/ada/sessions").await;
    assert_eq!((sessions.len(), &sessions[0]["address"]), (1, &json!("127.0.0.1")));
    let session = sessions[0]["id"].as_str().unwrap();
    assert_eq!(operator.delete(&format!("/users/demo/sessions/{session}")).await.status, 404, "another user's session");
    assert_eq!(operator.delete(&format!("/users/ada/sessions/{session}")).await.status, 204);
    assert_eq!(browser.get("account/sessions").await.status, 401);
    assert!(!lives(&asked).await && lives(&token).await);

    assert_eq!(operator.patch("/users/ada", json!({ "password": "another horse" })).await.status, 200);
    assert!(!lives(&token).await);
    assert_eq!(service.password("ada", &password).await.status, 400);
    let token = service.password("ada", "another horse").await.text("access_token");
    let mut browser = server.browser();
    assert_eq!(browser.sign_in("ada", "another horse").await.status, 200);
    let asked = browser.token_set().await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(operator.patch("/users/ada", json!({ "status": "disabled" })).await.status, 200);
    assert!(!lives(&token).await && !lives(&asked).await, "also the tokens requested through their sessions");
    assert_eq!(browser.get("account/sessions").await.status, 401);
    assert_eq!(operator.patch("/users/ada", json!({ "status": "active" })).await.status, 200);
    assert!(!lives(&token).await, "revoked tokens stay revoked");
    assert_eq!(operator.delete("/users/ada").await.status, 204);
    assert_eq!(service.password("ada", "another horse").await.status, 400);
    assert_eq!(operator.get(&format!("/users/{id}")).await.status, 404);
    assert_eq!(operator.post("/users", json!({ "login": "ada" })).await.status, 201, "the name is free again");
}

#[tokio::test]
async fn an_invalid_user_is_refused_with_the_field() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    for (body, field) in [
        (json!({}), "login"),
        (json!({ "login": "" }), "login"),
        (json!({ "login": " ada" }), "login"),
        (json!({ "login": "a\nb" }), "login"),
        (json!({ "login": "a b" }), "login"),
        (json!({ "login": "a\u{202E}b" }), "login"),
        (json!({ "login": "ada\u{200D}" }), "login"),
        (json!({ "login": "\u{3164}" }), "login"),
        (json!({ "login": "ada\u{2800}" }), "login"),
        (json!({ "login": "ada\u{E0001}" }), "login"),
        (json!({ "login": "\u{FB01}ona" }), "login"),
        (json!({ "login": "usr_1" }), "login"),
        (json!({ "login": "Operator" }), "login"),
        (json!({ "login": "ada", "password": "short" }), "password"),
        (json!({ "login": "ada", "password": "x".repeat(129) }), "password"),
        (json!({ "login": "ada", "password": "a\u{0}long enough one" }), "password"),
        (json!({ "login": "ada", "roles": ["root"] }), "roles"),
        (json!({ "login": "ada", "id": "usr_1" }), "id"),
        (json!({ "login": "ada", "password_hash": "x" }), "password_hash"),
    ] {
        let answer = operator.post("/users", body.clone()).await;
        assert_eq!(answer.problem(), (400, "invalid".to_owned(), field.to_owned()), "{body}: {answer}");
    }
    for taken in ["demo", "DEMO", "demo-service"] {
        assert_eq!(operator.post("/users", json!({ "login": taken })).await.status, 409, "{taken}");
    }
    assert_eq!(operator.patch("/users/demo", json!({ "login": "x" })).await.problem().2, "login");
    assert_eq!(operator.delete("/users/demo/second-factor").await.status, 409, "no second factor exists");
    assert_eq!(operator.delete("/users/nobody/second-factor").await.status, 404);
    assert_eq!(operator.get("/users/nobody/sessions").await.status, 404);
    let stale = [("if-match", "\"x\"")];
    assert_eq!(operator.call("DELETE", "/users/demo", None, &stale).await.status, 412);
    assert_eq!(operator.list("/users").await.len(), 1);
}

#[tokio::test]
async fn any_leaked_token_can_be_revoked() {
    let server = TestServer::start().await;
    server.add_user("ada", "correct horse").await;
    let operator = server.operator().await;
    let service = server.demo_service();
    let lives = async |token: &str| service.introspect(token).await.json()["active"] == true;
    let revoke = async |body: Value| operator.post("/revocations", body).await;

    let token = service.client_credentials("all").await.text("access_token");
    assert_eq!(revoke(json!({ "token": token })).await.json()["revoked"]["kind"], "token");
    assert!(!lives(&token).await);
    assert_eq!(revoke(json!({ "token": token })).await.status, 200, "revoking again has no effect");

    let set = service.password("ada", "correct horse").await;
    let (access, refresh) = (set.text("access_token"), set.text("refresh_token"));
    assert_eq!(revoke(json!({ "token": refresh })).await.json()["revoked"]["kind"], "family");
    assert!(!lives(&access).await && service.refresh(&refresh).await.status == 400);

    let access = service.password("ada", "correct horse").await.text("access_token");
    assert_eq!(revoke(json!({ "user": "ada" })).await.json()["revoked"]["kind"], "user");
    assert!(!lives(&access).await);
    assert_eq!(service.password("ada", "correct horse").await.status, 200, "the user can get new tokens");

    let access = service.client_credentials("all").await.text("access_token");
    assert_eq!(revoke(json!({ "client_id": "demo-service" })).await.json()["revoked"]["id"], "demo-service");
    assert!(!lives(&access).await && lives(&service.client_credentials("all").await.text("access_token")).await);

    let secret = operator.list("/clients/demo-service/secrets").await[0]["id"].as_str().unwrap().to_owned();
    let ended = revoke(json!({ "secret_id": secret })).await;
    assert_eq!(ended.json()["revoked"], json!({ "kind": "secret", "id": secret, "client_id": "demo-service" }));
    assert_eq!(service.token(&[("grant_type", "client_credentials")]).await.status, 401);

    for (body, field) in [
        (json!({}), "the body"),
        (json!({ "token": "x", "user": "ada" }), "the body"),
        (json!({ "token": "x" }), "token"),
        (json!({ "token": "cs_refresh_x" }), "token"),
        (json!({ "jti": "x" }), "jti"),
    ] {
        assert_eq!(revoke(body.clone()).await.problem().2, field, "{body}");
    }
    for body in
        [json!({ "client_id": "x" }), json!({ "user": "x" }), json!({ "secret_id": "x" }), json!({ "key_id": "x" })]
    {
        assert_eq!(revoke(body.clone()).await.problem().1, "not-found", "{body}");
    }
}
