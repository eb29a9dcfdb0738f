//! The guide's own samples, sent unchanged except for the demo's credentials, and compared with the guide's responses.

use countersign_testkit::{START, TestServer};
use serde_json::{Value, json};

/// The names of an object's members, in order.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn the_guides_preview_has_the_guides_shape_for_client_credentials() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let sample = json!({ "authFlow": "OAUTH", "grantType": "client_credentials" });
    let answer = browser.post("tokenRequestPreview", sample).await;
    let result = answer.result();
    assert_eq!(result["apiEndPoint"], "http://127.0.0.1:8080/OAuth2/Token/oauthclient");
    let guide = json!({
        "grantType": "client_credentials",
        "clientId": "demo-service",
        "clientSecret": "********",
        "scope": "all",
    });
    assert_eq!(result["payload"].to_string(), guide.to_string());
    assert_eq!(keys(&result), ["apiEndPoint", "payload", "request"]);
    assert_eq!(keys(&result["request"]), ["method", "url", "headers", "body", "curl"]);
    assert_eq!(result["request"]["body"], "grant_type=client_credentials&scope=all");
    assert_eq!(result["request"]["headers"]["authorization"], "Basic ********");
}

#[tokio::test]
async fn the_guides_preview_has_the_guides_shape_for_resource_owner() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let sample = json!({ "authFlow": "OAUTH", "grantType": "password", "userName": "demo", "password": "Temp5678" });
    let result = browser.post("tokenRequestPreview", sample).await.result();
    let guide = json!({
        "grantType": "password",
        "clientId": "demo-service",
        "clientSecret": "********",
        "scope": "all",
        "userName": "demo",
        "password": "********",
    });
    assert_eq!(result["payload"].to_string(), guide.to_string());
    assert!(!result.to_string().contains("Temp5678"));
}

#[tokio::test]
async fn the_guides_token_set_has_the_guides_members_and_values() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let set = browser.token_set().await;
    assert_eq!(keys(&set), ["access_token", "token_type", "scope", "expires_in"]);
    assert_eq!(
        (&set["token_type"], &set["scope"], &set["expires_in"]),
        (&json!("Bearer"), &json!("all"), &json!(7200))
    );
    let demo = server.demo();
    let sample = json!({
        "authFlow": "OAUTH", "grantType": "password", "userName": demo.username, "password": demo.password.expose(),
    });
    let set = browser.post("tokenSet", sample).await.result();
    assert_eq!(keys(&set), ["access_token", "token_type", "scope", "expires_in", "refresh_token"]);
}

#[tokio::test]
async fn the_guides_claims_are_flat_and_complete_and_match_expires_in() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let set = browser.token_set().await;
    let token = set["access_token"].as_str().unwrap();
    let claims = browser.get(&format!("claims?token={token}")).await.result();
    for name in ["auth_time", "iss", "iat", "aud", "unique_name", "exp", "sub", "scope"] {
        assert!(!claims[name].is_null(), "{name}: {claims}");
    }
    assert_eq!((&claims["iss"], &claims["unique_name"]), (&json!("http://127.0.0.1:8080"), &json!("demo-service")));
    assert_eq!((&claims["iat"], &claims["auth_time"]), (&json!(START), &json!(START)));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), set["expires_in"].as_i64().unwrap());
}

#[tokio::test]
async fn both_spellings_of_a_field_work_but_not_together() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let camel = json!({ "authFlow": "OAUTH", "grantType": "password", "userName": "ada", "password": "x" });
    let snake = json!({ "authFlow": "OAUTH", "grant_type": "password", "user_name": "ada", "password": "x" });
    let one = browser.post("tokenRequestPreview", camel).await.result();
    assert_eq!(browser.post("tokenRequestPreview", snake).await.result(), one);
    for (body, field) in [
        (
            r#"{"authFlow":"OAUTH","grantType":"password","grant_type":"password","userName":"a","password":"x"}"#,
            "grantType",
        ),
        (r#"{"authFlow":"OAUTH","grantType":"password","userName":"a","user_name":"a","password":"x"}"#, "userName"),
        (r#"{"authFlow":"OAUTH","grantType":"client_credentials or password"}"#, "grantType"),
        (r#"{"authFlow":"OAUTH","grantType":"client_creds"}"#, "grantType"),
        (r#"{"authFlow":"OAUTH","grantType":"refresh_token"}"#, "grantType"),
        (r#"{"authFlow":"OIDC","grantType":"client_credentials"}"#, "authFlow"),
        (r#"{"grantType":"client_credentials"}"#, "authFlow"),
        (r#"{"authFlow":"OAUTH"}"#, "grantType"),
        (r#"{"authFlow":"OAUTH","grantType":"password","password":"x"}"#, "userName"),
        (r#"{"authFlow":"OAUTH","grantType":"password","userName":"ada"}"#, "password"),
        (r#"{"authFlow":"OAUTH","grantType":"password","userName":"ada","password":7}"#, "password"),
        (r#"{"authFlow":"OAUTH","grantType":"client_credentials","client_id":"x"}"#, "client_id"),
        (r#"{"authFlow":"OAUTH","grantType":"client_credentials","api":""}"#, "api"),
        (r#"{"authFlow":"OAUTH","#, "the body"),
        ("", "the body"),
        (r#"["OAUTH","client_credentials"]"#, "the body"),
    ] {
        for call in ["tokenRequestPreview", "tokenSet"] {
            let request = browser.call("POST", call).header("content-type", "application/json").body(body);
            let answer = browser.send(request).await;
            assert_eq!(answer.fault(), (400, "bad_request".to_owned()), "{body}: {answer}");
            assert!(answer.text("ErrorMessage").starts_with(&format!("{field}: ")), "{body}: {answer}");
        }
    }
}
