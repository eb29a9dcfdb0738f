//! The playground requests, decodes, introspects, refreshes and revokes tokens through the demo API.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_protocol::ids::ClientId;
use countersign_testkit::{Browser, TestServer};
use serde_json::{Value, json};

use crate::guessing::have_failed;

async fn by_password(server: &TestServer, browser: &mut Browser) -> Value {
    let password = server.demo().password.expose();
    let ask = json!({ "authFlow": "OAUTH", "grantType": "password", "userName": "demo", "password": password });
    browser.post("tokenSet", ask).await.result()
}

fn text(set: &Value, member: &str) -> String {
    set[member].as_str().unwrap().to_owned()
}

/// A JWT with an invalid signature.
fn jwt(header: &str, payload: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(header), part(payload), part("signature"))
}

#[tokio::test]
async fn the_preview_masks_secrets_for_everyone_unlike_the_original() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let ask = json!({ "authFlow": "OAUTH", "grantType": "password", "userName": "demo", "password": "Temp5678" });
    let answer = browser.post("tokenRequestPreview", ask).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.body.contains("Temp5678") && !answer.body.contains("cs_secret_"), "{answer}");
    let curl = text(&answer.result()["request"], "curl");
    assert!(curl.contains("$CLIENT_SECRET") && curl.contains("$PASSWORD") && !curl.contains('\n'), "{curl}");
    for call in ["getSettings", "getUISettings"] {
        assert!(!browser.get(call).await.body.contains("cs_secret_"));
    }
}

#[tokio::test]
async fn scope_and_api_may_be_chosen_for_each_request() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let ask = |scope: &str| json!({ "authFlow": "OAUTH", "grantType": "client_credentials", "scope": scope });
    let set = browser.post("tokenSet", ask("reports:read  reports:write")).await.result();
    assert_eq!(set["scope"], "reports:read reports:write");
    assert_eq!(browser.post("tokenSet", ask("")).await.result()["scope"], "all", "without a scope, the API's default");
    assert_eq!(browser.post("tokenSet", ask("reports:delete")).await.fault(), (400, "invalid_scope".to_owned()));
    let other = json!({ "authFlow": "OAUTH", "grantType": "client_credentials", "api": "billing", "scope": "" });
    let preview = browser.post("tokenRequestPreview", other.clone()).await.result();
    assert_eq!(preview["apiEndPoint"], "http://127.0.0.1:8080/OAuth2/Token/billing");
    assert!(preview["payload"]["scope"].is_null());
    assert_eq!(browser.post("tokenSet", other).await.fault(), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn a_field_of_one_flow_never_leaks_into_the_other() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    for (field, value) in [("userName", "demo"), ("user_name", "demo"), ("password", "x")] {
        let mut ask = json!({ "authFlow": "OAUTH", "grantType": "client_credentials" });
        ask[field] = value.into();
        for call in ["tokenRequestPreview", "tokenSet"] {
            let answer = browser.post(call, ask.clone()).await;
            assert_eq!(answer.fault(), (400, "bad_request".to_owned()), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_refusal_by_the_token_endpoint_keeps_its_message_and_its_status_is_in_server_timing() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let wrong = json!({ "authFlow": "OAUTH", "grantType": "password", "userName": "demo", "password": "wrong" });
    let answer = browser.post("tokenSet", wrong.clone()).await;
    assert_eq!(answer.fault(), (400, "invalid_grant".to_owned()));
    assert_eq!(answer.text("ErrorMessage"), "wrong user name or password, or the user may not use this grant");
    assert_eq!(answer.header("server-timing"), "token;dur=0.000;desc=\"400\"");
    for _ in 0..9 {
        browser.post("tokenSet", wrong.clone()).await;
    }
    let blocked = browser.post("tokenSet", wrong).await;
    assert_eq!(blocked.fault(), (429, "too_many_attempts".to_owned()), "attempts count against the caller");
    assert!(!blocked.header("retry-after").is_empty());

    let demo = ClientId::parse("demo-service").unwrap();
    server.change(async |change| change.delete_credentials(&demo).await.unwrap()).await;
    let ask = json!({ "authFlow": "OAUTH", "grantType": "client_credentials" });
    let answer = browser.post("tokenSet", ask).await;
    assert_eq!(answer.fault(), (400, "invalid_client".to_owned()));
    assert_eq!(answer.header("server-timing"), "token;dur=0.000;desc=\"401\"");
}

#[tokio::test]
async fn a_token_limit_and_a_locked_user_are_not_reported_as_too_many_attempts() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    have_failed(&server, "demo", 100).await;
    let ask = json!({ "authFlow": "OAUTH", "grantType": "password", "userName": "demo", "password": "any" });
    let locked = browser.post("tokenSet", ask).await;
    assert_eq!((locked.fault(), locked.header("retry-after")), ((429, "user_locked".to_owned()), "3600"));
    assert!(locked.text("ErrorMessage").ends_with("ask an administrator to unlock it"), "{locked}");

    let limits = json!({ "tokens_per_minute": 0 });
    assert_eq!(server.operator().await.patch("/clients/demo-service", limits).await.status, 200);
    let ask = json!({ "authFlow": "OAUTH", "grantType": "client_credentials" });
    let limited = browser.post("tokenSet", ask).await;
    assert_eq!((limited.fault(), limited.header("retry-after")), ((429, "too_many_tokens".to_owned()), "60"));
    assert!(limited.text("ErrorMessage").contains("token limit for this minute"), "{limited}");
}

#[tokio::test]
async fn any_well_formed_jwt_is_decoded_and_others_are_refused() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let payloads = [
        r#"{"name":"Zoë Ünïcode ~?>"}"#,
        r#"{"a":1}"#,
        r#"{"ab":[1,2,{"c":null}],"d":1.5}"#,
        r#"{"exp":"not a number","iss":["x"]}"#,
        "{}",
    ];
    for payload in payloads {
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"alg":"RS256","crit":["x"]}"#] {
            let token = jwt(header, payload);
            let claims = browser.get(&format!("claims?token={token}")).await.result();
            assert_eq!(claims, serde_json::from_str::<Value>(payload).unwrap(), "{header}");
        }
    }
    let long = jwt(r#"{"alg":"none"}"#, &format!("{{\"a\":\"{}\"}}", "x".repeat(13_000)));
    for bad in ["", "x", "a.b", "a.b.c", "a.b.c.d", "e30.e30.", "cs_refresh_x", &format!("{}=", jwt("{}", "{}")), &long]
    {
        let answer = browser.get(&format!("claims?token={bad}")).await;
        assert_eq!(answer.fault(), (400, "bad_request".to_owned()), "{bad}");
        let answer = browser.post("claims", json!({ "token": bad })).await;
        assert_eq!(answer.fault(), (400, "bad_request".to_owned()), "{bad}");
    }
    for query in ["claims", "claims?", "claims?jwt=x", "claims?token=a&token=b", "claims?token=%zz"] {
        assert_eq!(browser.get(query).await.fault(), (400, "bad_request".to_owned()), "{query}");
    }
}

#[tokio::test]
async fn claims_come_with_a_verdict_and_its_reason_unlike_in_the_original() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let token = text(&browser.token_set().await, "access_token");
    let judge = async |browser: &mut Browser, token: &str| {
        let judged = browser.post("claims", json!({ "token": token })).await.result();
        let checks = judged["checks"].as_array().unwrap().clone();
        let names: Vec<&str> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
        assert_eq!(names, ["signature", "issuer", "audience", "time", "revocation"]);
        assert!(checks.iter().all(|check| !check["reason"].as_str().unwrap().is_empty()));
        checks.iter().map(|check| check["holds"] == true).collect::<Vec<_>>()
    };
    assert_eq!(judge(&mut browser, &token).await, [true; 5]);
    let (rest, signature) = token.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{rest}.{flipped}{}", &signature[1..]);
    assert_eq!(judge(&mut browser, &forged).await, [false, true, true, true, true]);
    let foreign = jwt(
        r#"{"alg":"RS256","typ":"at+jwt","kid":"x"}"#,
        r#"{"iss":"https://other","sub":"x","aud":"https://other","client_id":"x","iat":1,"exp":2,"jti":"x"}"#,
    );
    assert_eq!(judge(&mut browser, &foreign).await, [false; 5]);
    assert_eq!(judge(&mut browser, &jwt(r#"{"alg":"none"}"#, "{}")).await, [false; 5]);
    // Each check reads its own claims, and does not report what another check misses.
    let mut claims = browser.post("claims", json!({ "token": token })).await.result()["claims"].clone();
    claims.as_object_mut().unwrap().remove("exp");
    let endless = jwt(r#"{"alg":"RS256","typ":"at+jwt","kid":"x"}"#, &claims.to_string());
    assert_eq!(judge(&mut browser, &endless).await, [false, true, true, false, true]);
    assert_eq!(browser.post("revokeToken", json!({ "token": token })).await.result(), true);
    assert_eq!(judge(&mut browser, &token).await, [true, true, true, true, false]);
    let short = text(&browser.token_set().await, "access_token");
    for _ in 0..5 {
        server.advance(1500).await;
        browser.get("getUISettings").await;
    }
    assert_eq!(judge(&mut browser, &short).await, [true, true, true, false, true]);
}

#[tokio::test]
async fn a_token_is_introspected_refreshed_and_revoked_by_the_client_of_the_settings() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let set = by_password(&server, &mut browser).await;
    let (access, refresh) = (text(&set, "access_token"), text(&set, "refresh_token"));
    let said = browser.post("introspect", json!({ "token": access })).await.result();
    assert_eq!((&said["active"], &said["username"]), (&json!(true), &json!("demo")));
    let said = browser.post("introspect", json!({ "token": refresh })).await.result();
    assert_eq!(said["active"], true);
    assert_eq!(browser.post("introspect", json!({ "token": "garbage" })).await.result(), json!({ "active": false }));

    let second = browser.post("refreshToken", json!({ "refreshToken": refresh })).await.result();
    assert_ne!(second["refresh_token"], set["refresh_token"]);
    let again = browser.post("refreshToken", json!({ "refreshToken": refresh })).await.result();
    assert_eq!(again["refresh_token"], second["refresh_token"], "as after a lost response");
    browser.post("refreshToken", json!({ "refreshToken": second["refresh_token"] })).await.result();
    let reused = browser.post("refreshToken", json!({ "refresh_token": refresh })).await;
    assert_eq!(reused.fault(), (400, "invalid_grant".to_owned()));
    let said = browser.post("introspect", json!({ "token": second["access_token"] })).await.result();
    assert_eq!(said["active"], false, "the reuse ended the family");

    let own = text(&browser.token_set().await, "access_token");
    assert_eq!(browser.post("revokeToken", json!({ "token": own })).await.result(), true);
    assert_eq!(browser.post("introspect", json!({ "token": own })).await.result()["active"], false);
    assert_eq!(browser.post("revokeToken", json!({ "token": own })).await.result(), true, "dead is dead");
    let third = by_password(&server, &mut browser).await;
    let by_name = json!({ "refresh_token": third["refresh_token"] });
    assert_eq!(browser.post("introspect", by_name.clone()).await.result()["active"], true);
    assert_eq!(browser.post("revokeToken", by_name.clone()).await.result(), true);
    assert_eq!(browser.post("introspect", by_name).await.result(), json!({ "active": false }));
    let both = json!({ "token": third["access_token"], "refresh_token": third["refresh_token"] });
    assert_eq!(browser.post("introspect", both).await.fault(), (400, "bad_request".to_owned()), "only one of the two");
    for (call, field) in [("introspect", "token"), ("refreshToken", "refresh_token"), ("revokeToken", "token")] {
        let mut empty = json!({});
        empty[field] = "".into();
        assert_eq!(browser.post(call, empty).await.fault(), (400, "bad_request".to_owned()), "{call}");
    }
}

#[tokio::test]
async fn a_token_requested_while_its_session_ends_does_not_outlive_it() {
    let server = TestServer::start().await;
    let browser = server.demo_browser().await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut browser = browser.clone();
        asking.spawn(async move {
            let ask = json!({ "authFlow": "OAUTH", "grantType": "client_credentials" });
            browser.post("tokenSet", ask).await
        });
    }
    let mut leaving = browser.clone();
    assert_eq!(leaving.post("auth/out", json!({})).await.status, 200);
    let service = server.demo_service();
    for answer in asking.join_all().await {
        if answer.status == 200 {
            let token = text(&answer.result(), "access_token");
            assert_eq!(service.introspect(&token).await.json()["active"], false);
        } else {
            assert_eq!(answer.fault(), (401, "sign_in_needed".to_owned()));
        }
    }
}
