//! A service asks for itself.

use countersign_testkit::{START, TestServer};

#[tokio::test]
async fn a_service_gets_a_token_and_the_token_opens_the_api() {
    let server = TestServer::start().await;
    let service = server.demo_service();

    let answer = service.token(&[("grant_type", "client_credentials")]).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");
    assert!(!answer.header("x-request-id").is_empty());
    let set = answer.json();
    let members: Vec<&String> = set.as_object().unwrap().keys().collect();
    assert_eq!(members, ["access_token", "token_type", "expires_in", "scope"]);
    assert_eq!(
        (&set["token_type"], &set["expires_in"], &set["scope"]),
        (&"Bearer".into(), &7200.into(), &"all".into())
    );

    let whoami = service.call("GET", "/resource/whoami", &answer.text("access_token")).await;
    assert_eq!(whoami.status, 200, "{whoami}");
    assert_eq!(whoami.text("sub"), "demo-service");
    assert_eq!(whoami.json()["exp"], START + 7200);
}

#[tokio::test]
async fn the_guides_path_answers_in_any_case_and_with_the_secret_in_the_body() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    for path in ["/OAuth2/Token/oauthclient", "/oauth2/token/oauthclient", "/OAUTH2/TOKEN/oauthclient"] {
        let form = [("grant_type", "client_credentials"), ("scope", "reports:read all")];
        let answer = service.post_with_secret_in_body(path, &form).await;
        assert_eq!((answer.status, answer.text("scope")), (200, "all reports:read".to_owned()), "{path}: {answer}");
    }
    let elsewhere = service.post("/OAuth2/Token/OAuthClient", &[("grant_type", "client_credentials")]).await;
    assert_eq!(elsewhere.refusal(), (404, "invalid_request".to_owned()));
}
