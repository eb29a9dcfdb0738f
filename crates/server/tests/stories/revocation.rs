//! Tokens are revoked before they expire.

use countersign_protocol::grant_type::GrantType;
use countersign_protocol::ids::ClientId;
use countersign_protocol::status::Status;
use countersign_testkit::{NewTestClient, TestServer};

const INACTIVE: &str = r#"{"active":false}"#;

#[tokio::test]
async fn a_revoked_access_token_is_refused_and_stays_revoked_after_a_restart() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let (ended, other) = (service.client_credentials("all").await, service.client_credentials("all").await);
    let (ended, other) = (ended.text("access_token"), other.text("access_token"));
    assert_eq!(service.revoke(&ended).await.status, 200);
    assert_eq!(service.call("GET", "/resource/whoami", &ended).await.status, 401);
    assert_eq!(service.introspect(&ended).await.body, INACTIVE);
    assert_eq!(service.call("GET", "/resource/whoami", &other).await.status, 200);
    assert_eq!(service.revoke(&ended).await.status, 200, "again");
    let server = server.restart().await;
    let service = server.demo_service();
    assert_eq!(service.introspect(&ended).await.body, INACTIVE);
    assert_eq!(service.introspect(&other).await.json()["active"], true);
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_its_family_and_the_familys_access_tokens() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    server.add_user("ada", "correct horse").await;
    let first = service.password("ada", "correct horse").await;
    let second = service.refresh(&first.text("refresh_token")).await;
    let revoked = service.post("/OAuth2/Revoke/oauthclient", &[("token", &second.text("refresh_token"))]).await;
    assert_eq!(revoked.status, 200, "{revoked}");
    for set in [first, second] {
        assert_eq!(service.introspect(&set.text("access_token")).await.body, INACTIVE);
        assert_eq!(service.refresh(&set.text("refresh_token")).await.refusal(), (400, "invalid_grant".to_owned()));
    }
}

#[tokio::test]
async fn revoking_an_invalid_token_returns_200_and_another_clients_token_is_not_revoked() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let may_ask = &[("oauthclient", "all", &GrantType::ALL[..])];
    server.add_client(NewTestClient { id: "other", secret: "other", may_ask, may_introspect: &[] }).await;
    let other = server.actor("other", "other");
    let token = service.client_credentials("all").await.text("access_token");
    for unknown in ["x", "a.b.c", "cs_refresh_x", "cs_secret_x"] {
        assert_eq!(service.revoke(unknown).await.status, 200, "{unknown}");
    }
    assert_eq!(other.revoke(&token).await.refusal(), (400, "unauthorized_client".to_owned()));
    assert_eq!(service.introspect(&token).await.json()["active"], true);
    server.advance(7200).await;
    assert_eq!(service.revoke(&token).await.status, 200, "expired");
}

#[tokio::test]
async fn a_token_that_is_only_temporarily_invalid_is_revoked_permanently() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let ada = server.add_user("ada", "correct horse").await;
    let token = service.password("ada", "correct horse").await.text("access_token");
    let set = async |status| server.change(async |change| change.set_user_status(&ada, status).await.unwrap()).await;
    set(Status::Disabled).await;
    assert_eq!(service.revoke(&token).await.status, 200);
    set(Status::Active).await;
    assert_eq!(service.introspect(&token).await.body, INACTIVE);
}

#[tokio::test]
async fn raising_a_clients_epoch_revokes_all_its_tokens() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    server.add_user("ada", "correct horse").await;
    let (own, users) = (service.client_credentials("all").await, service.password("ada", "correct horse").await);
    let id = ClientId::parse("demo-service").unwrap();
    server.change(async |change| change.raise_client_epoch(&id).await.unwrap()).await;
    for set in [&own, &users] {
        assert_eq!(service.introspect(&set.text("access_token")).await.body, INACTIVE);
    }
    assert_eq!(service.refresh(&users.text("refresh_token")).await.refusal(), (400, "invalid_grant".to_owned()));
    let next = service.client_credentials("all").await.text("access_token");
    assert_eq!(service.introspect(&next).await.json()["active"], true);
}

#[tokio::test]
async fn a_revocation_is_forgotten_only_after_its_token_has_expired() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let token = service.client_credentials("all").await.text("access_token");
    service.revoke(&token).await;
    server.advance(7100).await;
    assert_eq!(service.introspect(&token).await.body, INACTIVE);
    assert_eq!(server.state.store.load_revocations(0).await.unwrap().len(), 1);
    server.advance(200).await;
    assert!(server.state.store.load_revocations(0).await.unwrap().is_empty());
    assert_eq!(service.introspect(&token).await.body, INACTIVE);
}
