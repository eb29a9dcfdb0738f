//! What introspection reveals, and to whom.

use countersign_protocol::grant_type::GrantType::ClientCredentials;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_testkit::{MayAsk, NewTestApi, NewTestClient, START, TestServer};

const INACTIVE: &str = r#"{"active":false}"#;

#[tokio::test]
async fn an_active_access_token_is_described_in_full() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let token = service.client_credentials("all").await.text("access_token");
    let said = service.introspect(&token).await.json();
    let members: Vec<&String> = said.as_object().unwrap().keys().collect();
    let expected = [
        "active",
        "scope",
        "client_id",
        "username",
        "token_type",
        "exp",
        "iat",
        "sub",
        "aud",
        "iss",
        "jti",
        "auth_time",
    ];
    assert_eq!(members, expected);
    assert_eq!(said["exp"], START + 7200);
    assert_eq!(said["iss"], "http://127.0.0.1:8080");
    assert_eq!(said["aud"], "http://127.0.0.1:8080/resource");
    assert_eq!(service.post("/OAuth2/Introspect/oauthclient", &[("token", &token)]).await.json(), said);
    let hinted = [("token", token.as_str()), ("token_type_hint", "refresh_token")];
    assert_eq!(service.post("/oauth2/introspect", &hinted).await.json(), said, "a hint is only a hint");
}

#[tokio::test]
async fn an_active_refresh_token_is_described_to_its_own_client() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let user = server.add_user("ada", "correct horse").await;
    let token = service.password("ada", "correct horse").await.text("refresh_token");
    let said = service.introspect(&token).await.json();
    let expected = serde_json::json!({
        "active": true, "scope": "all", "client_id": "demo-service", "username": "ada", "sub": user.as_str(),
        "exp": START + 7 * 86_400, "iat": START, "iss": "http://127.0.0.1:8080", "aud": "http://127.0.0.1:8080/resource",
    });
    assert_eq!(said, expected);
    service.refresh(&token).await;
    assert_eq!(service.introspect(&token).await.body, INACTIVE, "spent");
}

#[tokio::test]
async fn invalid_and_inaccessible_tokens_are_reported_as_inactive_only() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let grants = &[ClientCredentials];
    server.add_api(NewTestApi { id: "billing", scopes: &["read"], grants, algorithm: Algorithm::EdDsa }).await;
    let may_ask: &[MayAsk<'_>] = &[("billing", "read", &[ClientCredentials])];
    server.add_client(NewTestClient { id: "biller", secret: "biller", may_ask, may_introspect: &[] }).await;
    let biller = server.actor("biller", "biller");
    let (ours, theirs) = (
        service.client_credentials("all").await.text("access_token"),
        biller.client_credentials("read").await.text("access_token"),
    );
    assert_eq!(biller.introspect(&theirs).await.json()["active"], true, "its own tokens, always");
    assert_eq!(biller.introspect(&ours).await.body, INACTIVE);
    assert_eq!(service.introspect(&theirs).await.body, INACTIVE);
    let elsewhere = service.post("/OAuth2/Introspect/billing", &[("token", &ours)]).await;
    assert_eq!(elsewhere.body, INACTIVE, "a token of another API");
    let (signed, signature) = ours.rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    for garbage in [&format!("{signed}.{turned}"), signed, "x", "a.b.c", "cs_refresh_x", &"x".repeat(60_000)] {
        assert_eq!(service.introspect(garbage).await.body, INACTIVE);
    }
    server.advance(7199).await;
    assert_eq!(service.introspect(&ours).await.json()["active"], true);
    server.advance(1).await;
    assert_eq!(service.introspect(&ours).await.body, INACTIVE, "expired this second");
}

#[tokio::test]
async fn introspection_needs_a_client_and_a_token() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    for path in ["/oauth2/introspect", "/OAuth2/Introspect/oauthclient", "/oauth2/revoke", "/OAuth2/Revoke/oauthclient"]
    {
        assert_eq!(server.stranger().post(path, &[("token", "x")]).await.refusal(), (401, "invalid_client".to_owned()));
        assert_eq!(service.post(path, &[]).await.refusal(), (400, "invalid_request".to_owned()));
        assert_eq!(service.post(path, &[("token", "")]).await.refusal(), (400, "invalid_request".to_owned()));
        let twice = service.post(path, &[("token", "x"), ("token", "x")]).await;
        assert_eq!(twice.refusal(), (400, "invalid_request".to_owned()));
    }
    let unknown = service.post("/OAuth2/Introspect/nothing", &[("token", "x")]).await;
    assert_eq!(unknown.refusal(), (404, "invalid_request".to_owned()));
}
