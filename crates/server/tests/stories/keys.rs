//! Signing keys: created when first needed, sealed in the database, unchanged by a restart.

use countersign_protocol::grant_type::GrantType::ClientCredentials;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::json::parse_object;
use countersign_protocol::jose::jwk::parse_jwk_set;
use countersign_protocol::jose::jws::UnverifiedJwt;
use countersign_protocol::jose::key::VerifyingKey;
use countersign_testkit::{MayAsk, NewTestApi, NewTestClient, START, TestServer, load_rows};

#[tokio::test]
async fn each_algorithm_gets_a_key_when_an_api_first_needs_it_and_its_tokens_verify() {
    let server = TestServer::start().await;
    for (id, algorithm) in [("es", Algorithm::Es256), ("ed", Algorithm::EdDsa), ("rs", Algorithm::Rs256)] {
        server.add_api(NewTestApi { id, scopes: &["read"], grants: &[ClientCredentials], algorithm }).await;
        let may_ask: &[MayAsk<'_>] = &[(id, "read", &[ClientCredentials])];
        let name = format!("{id}-client");
        server.add_client(NewTestClient { id: &name, secret: "s", may_ask, may_introspect: &[] }).await;
        let token = server.actor(&name, "s").client_credentials("read").await.text("access_token");
        let published = server.stranger().get("/oauth2/jwks").await;
        let keys = parse_jwk_set(&parse_object(published.body.as_bytes()).unwrap()).unwrap();
        let jwt = UnverifiedJwt::parse(&token).unwrap();
        assert_eq!(jwt.media_type().as_deref(), Some("at+jwt"));
        let key = keys.iter().find(|key| Some(key.key_id()) == jwt.key_id().as_ref()).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        let claims = jwt.verify(&VerifyingKey::from_jwk(key).unwrap()).unwrap();
        assert_eq!(claims["aud"], format!("https://{id}.example"));
        assert_eq!(
            (&claims["iat"], &claims["exp"], &claims["auth_time"]),
            (&START.into(), &(START + 3600).into(), &START.into())
        );
    }
}

#[tokio::test]
async fn a_token_has_the_claims_of_rfc_9068_and_the_guides_and_rev() {
    let server = TestServer::start().await;
    let token = server.demo_service().client_credentials("all").await.text("access_token");
    let jwt = UnverifiedJwt::parse(&token).unwrap();
    let names: Vec<&String> = jwt.claims().keys().collect();
    let expected = ["iss", "sub", "aud", "client_id", "iat", "exp", "jti", "scope", "auth_time", "unique_name", "rev"];
    assert_eq!(names, expected);
    assert_eq!(jwt.header()["alg"], "RS256");
    assert!(jwt.claims()["rev"].as_str().unwrap().ends_with(".0"));
}

#[tokio::test]
async fn keys_survive_a_restart_and_are_never_stored_in_plain_text() {
    let server = TestServer::start().await;
    let token = server.demo_service().client_credentials("all").await.text("access_token");
    let before = server.stranger().get("/oauth2/jwks").await.body;
    let server = server.restart().await;
    assert_eq!(server.stranger().get("/oauth2/jwks").await.body, before);
    assert_eq!(server.demo_service().call("GET", "/resource/whoami", &token).await.status, 200);
    for key in load_rows(&server.state.store).await.keys.keys {
        // A PKCS #8 document contains its algorithm in plain text: id-ecPublicKey, rsaEncryption, Ed25519.
        let names: [&[u8]; 3] = [&[0x2A, 0x86, 0x48, 0xCE, 0x3D], &[0x2A, 0x86, 0x48, 0x86, 0xF7], &[0x2B, 0x65, 0x70]];
        let readable = names.iter().any(|name| key.sealed_pkcs8.windows(name.len()).any(|bytes| bytes == *name));
        assert!(!readable && key.sealed_pkcs8.len() > 12 + 16);
    }
}
