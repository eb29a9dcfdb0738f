//! The playground's settings: for administrators, validated, versioned, without showing the secret.

use countersign_protocol::ids::ClientId;
use countersign_testkit::{Browser, NewTestClient, TestServer};
use serde_json::{Value, json};

const SECRET: &str = "a secret that was made elsewhere, long";

fn settings(changes: &Value) -> Value {
    let mut settings = json!({
        "oauthAppId": "oauthclient", "oauthServiceUserName": "demo-service", "oauthScopesSupported": "all",
    });
    for (key, value) in changes.as_object().unwrap() {
        settings[key] = value.clone();
    }
    settings
}

#[tokio::test]
async fn the_session_decides_who_is_an_administrator_unlike_the_path_in_the_original() {
    let server = TestServer::start().await;
    server.add_user("ada", "correct horse").await;
    let mut ada = server.browser();
    ada.sign_in("ada", "correct horse").await;
    let refused = (403, "not_allowed".to_owned());
    assert_eq!(ada.get("getSettings").await.fault(), refused);
    assert_eq!(ada.put("updateSettings", settings(&json!({}))).await.fault(), refused);
    assert_eq!(ada.put("updateSettings", json!({})).await.fault(), refused, "checked before the body is read");
    let mut demo = server.demo_browser().await;
    let shown = demo.get("getSettings").await.result();
    let expected = json!({
        "version": 1,
        "tenantUrl": "http://127.0.0.1:8080",
        "oauthAppId": "oauthclient",
        "oauthServiceUserName": "demo-service",
        "oauthServiceUserPassword": "set",
        "oauthScopesSupported": "all",
    });
    assert_eq!(shown.to_string(), expected.to_string());
}

#[tokio::test]
async fn saved_settings_survive_a_restart_and_keep_the_secret_unless_replaced() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let saved =
        browser.put("updateSettings", settings(&json!({ "oauthScopesSupported": " reports:read  all " }))).await;
    assert_eq!(saved.result(), "Settings updated successfully");
    let audit = server.operator().await.list("/audit").await;
    let last = audit.last().unwrap();
    assert_eq!(
        (&last["action"], &last["before"]["version"], &last["after"]["version"]),
        (&json!("settings.update"), &json!(1), &json!(2))
    );
    assert_eq!((&last["after"]["oauthServiceUserPassword"], &last["address"]), (&json!("set"), &json!("127.0.0.1")));
    assert_eq!(server.operator().await.get("/audit/verify").await.json()["intact"], true);
    let server = server.restart().await;
    let mut browser = server.demo_browser().await;
    let shown = browser.get("getSettings").await.result();
    assert_eq!((&shown["version"], &shown["oauthScopesSupported"]), (&json!(2), &json!("reports:read all")));
    assert_eq!(browser.token_set().await["scope"], "all reports:read");

    // Sending back what was read changes nothing.
    assert_eq!(browser.put("updateSettings", shown).await.status, 200);
    assert_eq!(browser.token_set().await["token_type"], "Bearer");
    let same = settings(&json!({ "oauthServiceUserPassword": server.demo().client_secret.expose() }));
    assert_eq!(browser.put("updateSettings", same).await.status, 200);
    assert_eq!(browser.token_set().await["token_type"], "Bearer");
}

#[tokio::test]
async fn unregistered_values_are_refused_with_the_field() {
    let server = TestServer::start().await;
    let client = NewTestClient { id: "job", secret: SECRET, may_ask: &[], may_introspect: &[] };
    server.add_client(client).await;
    let mut browser = server.demo_browser().await;
    for (change, message) in [
        (json!({ "oauthAppId": "nothing" }), "oauthAppId: is not the ID of an API"),
        (json!({ "oauthServiceUserName": "nobody" }), "oauthServiceUserName: is not a registered client_id"),
        (json!({ "oauthServiceUserPassword": "cs_secret_another" }), "oauthServiceUserPassword: does not work"),
        (json!({ "oauthServiceUserPassword": SECRET }), "oauthServiceUserPassword: does not work"),
        (json!({ "oauthServiceUserName": "job" }), "oauthServiceUserPassword: does not work"),
        (json!({ "oauthScopesSupported": "all reports:burn" }), "oauthScopesSupported: must be scopes of the API"),
        (json!({ "oauthScopesSupported": "all \u{e9}" }), "oauthScopesSupported: must be scope names"),
    ] {
        let answer = browser.put("updateSettings", settings(&change)).await;
        assert_eq!(answer.fault(), (400, "bad_request".to_owned()), "{change}");
        assert!(answer.text("ErrorMessage").starts_with(message), "{change}: {answer}");
    }
    assert_eq!(browser.get("getSettings").await.result()["version"], 1);
    let job = settings(&json!({ "oauthServiceUserName": "job", "oauthServiceUserPassword": SECRET }));
    let home = async |browser: &mut Browser| browser.send(browser.request("GET", "/")).await.body;
    assert!(home(&mut browser).await.contains("from <code>demo.json</code> in the data directory"));
    assert_eq!(browser.put("updateSettings", job).await.status, 200);
    let of_job = home(&mut browser).await;
    assert!(of_job.contains("&#34;job:$(") && of_job.contains("a secret of the client"), "{of_job}");
    assert!(!of_job.contains("demo.json"), "it has a different secret");
}

#[tokio::test]
async fn settings_that_refer_to_deleted_objects_are_reported_and_their_secret_is_refused() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let demo = ClientId::parse("demo-service").unwrap();
    server.change(async |change| change.delete_credentials(&demo).await.unwrap()).await;
    let ask = json!({ "authFlow": "OAUTH", "grantType": "client_credentials" });
    assert_eq!(browser.post("tokenSet", ask).await.fault(), (400, "invalid_client".to_owned()));
    server.change(async |change| change.delete_client(&demo).await.unwrap()).await;
    let page = browser.send(browser.request("GET", "/m2m")).await.body;
    assert!(
        page.contains("Settings are out of date.") && page.contains("the stored client_id is not registered"),
        "{page}"
    );
    assert!(!page.contains("Settings are incomplete"));
    let home = browser.send(browser.request("GET", "/")).await.body;
    assert!(
        home.contains("$CLIENT_ID:$CLIENT_SECRET") && home.contains("The client in Settings is not registered"),
        "{home}"
    );
}

#[tokio::test]
async fn concurrent_saves_do_not_overwrite_each_other_silently() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let first = browser.put("updateSettings", settings(&json!({ "version": 1, "oauthScopesSupported": "" }))).await;
    assert_eq!(first.status, 200);
    let second = browser.put("updateSettings", settings(&json!({ "version": 1 }))).await;
    assert_eq!(second.fault(), (409, "conflict".to_owned()));
    assert!(second.text("ErrorMessage").starts_with("version: "), "{second}");
    assert_eq!(browser.get("getSettings").await.result()["oauthScopesSupported"], "");
    let third = browser.put("updateSettings", settings(&json!({ "version": 2 }))).await;
    assert_eq!(third.status, 200);
}

#[tokio::test]
async fn invalid_settings_name_the_field_as_the_guide_does_unlike_in_the_original() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    for (change, message) in [
        (json!({ "oauthAppId": "" }), "oauthAppId: Required"),
        (json!({ "oauthServiceUserName": "  " }), "oauthServiceUserName: Required"),
        (
            json!({ "oauthServiceUserPassword": "short" }),
            "oauthServiceUserPassword: Password must be at least 8 characters long",
        ),
        (
            json!({ "oauthServiceUserPassword": "x".repeat(65) }),
            "oauthServiceUserPassword: Password should not be longer than 64 characters",
        ),
        (json!({ "oauthScopesSupported": "a\"b" }), "oauthScopesSupported: "),
        (json!({ "oauthAppId": "a\nb" }), "oauthAppId: must be one line"),
        (json!({ "tenantUrl": "http://169.254.169.254/" }), "tenantUrl: must be this server"),
        (json!({ "tenantUrl": "http://127.0.0.1:8080@evil.example" }), "tenantUrl: must be this server"),
        (json!({ "widgetId": "x" }), "widgetId: unknown field"),
        (json!({ "oauthAppId": 7 }), "oauthAppId: must be a string"),
    ] {
        let answer = browser.put("updateSettings", settings(&change)).await;
        assert_eq!(answer.fault(), (400, "bad_request".to_owned()), "{change}");
        assert!(answer.text("ErrorMessage").starts_with(message), "{change}: {answer}");
    }
    let missing = browser.put("updateSettings", json!({ "oauthAppId": "oauthclient" })).await;
    assert!(missing.text("ErrorMessage").starts_with("oauthServiceUserName: missing"), "{missing}");
    assert_eq!(browser.get("getSettings").await.result()["version"], 1, "all or nothing");
    for same in ["http://127.0.0.1:8080", "http://127.0.0.1:8080/"] {
        assert_eq!(browser.put("updateSettings", settings(&json!({ "tenantUrl": same }))).await.status, 200);
    }
}
