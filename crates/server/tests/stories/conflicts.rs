//! A change that the database aborts in favor of another transaction is retried, and its caller does not notice.

use countersign_testkit::TestServer;
use serde_json::json;

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn an_administrative_change_aborted_by_a_deadlock_is_retried() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    operator.post("/clients", json!({ "client_id": "job" })).await;
    let mut foreign = server.cross("SELECT 1 FROM clients WHERE id = 'job' FOR UPDATE").await;
    let made = operator.post("/clients/job/secrets", json!({ "label": "nightly" })).await;
    assert_eq!(made.status, 201, "{made}");
    assert!(foreign.wait().unwrap().success(), "the other transaction was not aborted");

    let secrets = operator.list("/clients/job/secrets").await;
    assert_eq!((secrets.len(), &secrets[0]["label"]), (1, &json!("nightly")), "{secrets:?}");
    let job = server.actor("job", &made.text("client_secret"));
    assert_eq!(job.introspect("x").await.status, 200, "the returned secret is the stored one");
    let records = operator.list("/audit").await;
    assert_eq!(records.iter().filter(|record| record["action"] == "secret.create").count(), 1, "{records:?}");
    assert_eq!(operator.get("/audit/verify").await.json()["intact"], true);
    assert!(!server.metrics().contains("countersign_database_failures_total{trouble=\"slow\"} 1"));

    let mut foreign = server.cross("SELECT 1 FROM clients WHERE id = 'job' FOR UPDATE").await;
    assert_eq!(operator.delete("/clients/job").await.status, 204, "a call without a body");
    assert!(foreign.wait().unwrap().success());
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_users_own_change_is_retried_too() {
    let server = TestServer::start().await;
    let user = server.add_user("ada", "correct horse").await;
    let rows = format!("SELECT 1 FROM users WHERE id = '{user}' FOR UPDATE");
    let mut browser = server.browser();
    let mut foreign = server.cross(&rows).await;
    let signed_in = browser.sign_in("ada", "correct horse").await;
    assert_eq!(signed_in.result()["Summary"], "LoginSuccess");
    assert!(foreign.wait().unwrap().success());

    let mut foreign = server.cross(&rows).await;
    let change = json!({ "password": "correct horse", "newPassword": "a longer password" });
    browser.post("account/changePassword", change).await.result();
    assert!(foreign.wait().unwrap().success());
    assert_eq!(browser.get("account/sessions").await.result().as_array().unwrap().len(), 1);
    assert_eq!(server.demo_service().password("ada", "a longer password").await.status, 200);

    let mut demo = server.demo_browser().await;
    let mut foreign = server.cross("SELECT 1 FROM playground_settings FOR UPDATE").await;
    let settings = json!({
        "oauthAppId": "oauthclient", "oauthServiceUserName": "demo-service", "oauthScopesSupported": "all",
    });
    demo.put("updateSettings", settings).await.result();
    assert!(foreign.wait().unwrap().success());
    assert_eq!(demo.get("getSettings").await.result()["version"], 2, "saved once");
    assert!(!server.metrics().contains("countersign_database_failures_total{trouble=\"slow\"} 1"));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_persistent_conflict_fails_after_five_tries_and_counts_once() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.tamper("CREATE SEQUENCE tried");
    server.tamper(
        "CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('tried'); \
         RAISE EXCEPTION 'conflict' USING ERRCODE = '40001'; END $$",
    );
    server.tamper("CREATE TRIGGER conflict BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION conflict()");
    let refused = operator.post("/clients", json!({ "client_id": "job" })).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"), "{refused}");
    let slow = "countersign_database_failures_total{trouble=\"slow\"}";
    assert!(server.metrics().contains(&format!("{slow} 1\n")), "{}", server.metrics());
    server.tamper("DROP TRIGGER conflict ON audit");
    server.tamper(
        "DO $$ BEGIN IF (SELECT last_value FROM tried) <> 5 THEN RAISE EXCEPTION '% tries', \
         (SELECT last_value FROM tried); END IF; END $$",
    );
    assert_eq!(operator.get("/clients/job").await.status, 404, "nothing was created");
    assert_eq!(operator.post("/clients", json!({ "client_id": "job" })).await.status, 201);
}
