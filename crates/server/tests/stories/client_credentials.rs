//! A service requests a token on its own behalf.

use countersign_protocol::client::Credential;
use countersign_protocol::ids::ClientId;
use countersign_protocol::secret::Secret;
use countersign_testkit::{START, TestServer};

#[tokio::test]
async fn a_service_gets_a_token_that_the_api_accepts() {
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
async fn the_guides_path_works_in_any_case_and_with_the_secret_in_the_body() {
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

#[tokio::test]
async fn several_secrets_work_at_once_each_until_the_second_before_it_expires() {
    let server = TestServer::start().await;
    let id = ClientId::parse("demo-service").unwrap();
    let secret = "made elsewhere: 100% + é, and long enough";
    let credential = Credential {
        id: "second".to_owned(),
        label: "rotation".to_owned(),
        secret_hash: Secret::new(secret).hash(),
        not_before: START + 10,
        expires_at: Some(START + 20),
    };
    server.change(async |change| change.insert_credential(&id, &credential).await.unwrap()).await;
    // Both halves are form-encoded before base64 (RFC 6749 §2.3.1).
    let service = server.actor("demo-service", "made+elsewhere%3A+100%25+%2B+%C3%A9%2C+and+long+enough");
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(service.token(&[("grant_type", "client_credentials")]).await.status);
        assert_eq!(server.demo_service().token(&[("grant_type", "client_credentials")]).await.status, 200);
        server.advance([10, 9, 1, 1][statuses.len() - 1]).await;
    }
    assert_eq!(statuses, [401, 200, 200, 401], "before its start, first second, last second, expiry");
    let in_body = server.actor("demo-service", secret);
    let form = [("grant_type", "client_credentials")];
    assert_eq!(in_body.post_with_secret_in_body("/oauth2/token", &form).await.status, 401);
}
