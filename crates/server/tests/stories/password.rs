//! A service requests tokens with a user's name and password.

use countersign_protocol::status::Status;
use countersign_store::NewSecondFactor;
use countersign_testkit::{START, TestServer, hash_password};

#[tokio::test]
async fn a_token_by_password_represents_the_user() {
    let server = TestServer::start().await;
    let (service, demo) = (server.demo_service(), server.demo());
    let user = server.add_user("Ada@example.com", "correct horse").await;
    assert_eq!(service.password(&demo.username, demo.password.expose()).await.status, 200);

    let answer = service.password("ada@EXAMPLE.com", "correct horse").await;
    assert_eq!(answer.status, 200, "{answer}");
    let set = answer.json();
    let members: Vec<&String> = set.as_object().unwrap().keys().collect();
    assert_eq!(members, ["access_token", "token_type", "expires_in", "scope", "refresh_token"]);
    let said = service.introspect(&answer.text("access_token")).await.json();
    assert_eq!((said["sub"].as_str(), said["username"].as_str()), (Some(user.as_str()), Some("Ada@example.com")));
    assert_eq!((&said["client_id"], &said["auth_time"]), (&"demo-service".into(), &START.into()));
}

#[tokio::test]
async fn all_wrong_users_and_passwords_get_the_same_response() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let disabled = server.add_user("disabled", "correct horse").await;
    let guarded = server.add_user("guarded", "correct horse").await;
    server
        .change(async |change| {
            change.set_user_status(&disabled, Status::Disabled).await.unwrap();
            let (id, sealed_seed) = ("f1".to_owned(), vec![1]);
            let factor =
                NewSecondFactor { id, user_id: guarded, kind: "totp", sealed_seed, created_at: START, last_step: 0 };
            change.insert_second_factor(&factor).await.unwrap();
        })
        .await;
    server.add_user("ada", "correct horse").await;
    let mut bodies = Vec::new();
    for (name, password) in [
        ("ada", "wrong"),
        ("ada", "correct horse "),
        ("nobody", "correct horse"),
        ("disabled", "correct horse"),
        ("guarded", "correct horse"),
        ("guarded", "wrong"),
        ("demo-service", "correct horse"),
        ("ada", &"x".repeat(5000)),
        (&"x".repeat(5000), "x"),
    ] {
        let answer = service.password(name, password).await;
        assert_eq!(answer.refusal(), (400, "invalid_grant".to_owned()), "{answer}");
        bodies.push(answer.body_without_id());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[tokio::test]
async fn changing_a_password_ends_the_users_tokens_but_not_the_clients() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let ada = server.add_user("ada", "correct horse").await;
    let theirs = service.password("ada", "correct horse").await;
    let own = service.client_credentials("all").await;
    let hash = hash_password("another horse");
    server.change(async |change| change.set_password(&ada, &hash, START).await.unwrap()).await;
    assert_eq!(service.call("GET", "/resource/whoami", &theirs.text("access_token")).await.status, 401);
    assert_eq!(service.refresh(&theirs.text("refresh_token")).await.refusal(), (400, "invalid_grant".to_owned()));
    assert_eq!(service.call("GET", "/resource/whoami", &own.text("access_token")).await.status, 200);
    assert_eq!(service.password("ada", "correct horse").await.status, 400);
    assert_eq!(service.password("ada", "another horse").await.status, 200);
}
