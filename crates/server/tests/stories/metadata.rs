//! The metadata documents, and that what they list works.

use countersign_testkit::{Options, TestServer};
use serde_json::{Value, json};

const ISSUER: &str = "http://127.0.0.1:8080";

#[tokio::test]
async fn the_servers_document_lists_what_works_and_nothing_else() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    let document = stranger.get("/.well-known/oauth-authorization-server").await;
    assert_eq!(document.header("cache-control"), "public, max-age=300");
    let methods = json!(["client_secret_basic", "client_secret_post"]);
    let mut expected = json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{ISSUER}/oauth2/authorize"),
        "token_endpoint": format!("{ISSUER}/oauth2/token"),
        "introspection_endpoint": format!("{ISSUER}/oauth2/introspect"),
        "revocation_endpoint": format!("{ISSUER}/oauth2/revoke"),
        "jwks_uri": format!("{ISSUER}/oauth2/jwks"),
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials", "password", "refresh_token"],
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
    });
    assert_eq!(document.json(), expected);
    expected["subject_types_supported"] = json!(["public"]);
    expected["id_token_signing_alg_values_supported"] = json!(["ES256", "RS256"]);
    assert_eq!(stranger.get("/.well-known/openid-configuration").await.json(), expected);
    assert_eq!(stranger.get("/.well-known/jwks.json").await.json(), stranger.get("/oauth2/jwks").await.json());
}

#[tokio::test]
async fn the_authorization_endpoint_refuses_everything_and_redirects_nowhere() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let query = "response_type=code&client_id=x&redirect_uri=https%3A%2F%2Fevil.example%2F";
    for answer in [
        service.get("/oauth2/authorize").await,
        service.get(&format!("/oauth2/authorize?{query}")).await,
        service.post_raw("/oauth2/authorize", query).await,
        service.call("DELETE", "/oauth2/authorize", "x").await,
    ] {
        assert_eq!(answer.refusal(), (400, "unsupported_response_type".to_owned()));
        assert_eq!(answer.header("location"), "");
        assert!(answer.text("error_description").contains("token endpoint"), "{answer}");
    }
}

#[tokio::test]
async fn an_empty_list_is_omitted() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let api = json!({ "id": "bare", "audience": format!("{ISSUER}/bare"), "name": "Bare" });
    let created = operator.post("/apis", api).await;
    assert_eq!(created.status, 201, "{created}");
    server.follow().await;
    for path in ["/bare/.well-known/openid-configuration", "/.well-known/oauth-protected-resource/bare"] {
        let document = server.stranger().get(path).await.json();
        assert!(document.is_object());
        assert_eq!(document.get("scopes_supported"), None, "{path}");
    }
}

#[tokio::test]
async fn an_apis_document_has_the_tenant_paths_and_they_work() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let document = service.get("/oauthclient/.well-known/openid-configuration").await.json();
    assert_eq!(document["issuer"], ISSUER);
    assert_eq!(document["scopes_supported"], json!(["all", "reports:read", "reports:write"]));
    let path = |member: &str| document[member].as_str().and_then(|url| url.strip_prefix(ISSUER)).unwrap().to_owned();
    let token = service.post(&path("token_endpoint"), &[("grant_type", "client_credentials")]).await;
    let form = [("token", token.text("access_token"))];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(service.post(&path("introspection_endpoint"), &form).await.json()["active"], true);
    assert_eq!(service.post(&path("revocation_endpoint"), &form).await.status, 200);
    assert_eq!(service.get(&path("jwks_uri")).await.json(), service.get("/oauth2/jwks").await.json());
    for unknown in ["/nothing/.well-known/openid-configuration", "/OAuth2/Keys/nothing"] {
        assert_eq!(service.get(unknown).await.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn the_metadata_of_a_protected_resource_is_where_its_challenge_points() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    let challenge = stranger.get("/resource/whoami").await.header("www-authenticate").to_owned();
    let address = challenge.split("resource_metadata=\"").nth(1).unwrap().trim_end_matches('"').to_owned();
    let document: Value = stranger.get(address.strip_prefix(ISSUER).unwrap()).await.json();
    assert_eq!(document["resource"], server.demo().audience.as_str());
    assert_eq!(document["authorization_servers"], json!([ISSUER]));
    assert_eq!(document["bearer_methods_supported"], json!(["header"]));
    for unknown in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/x"] {
        assert_eq!(stranger.get(unknown).await.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn without_the_demo_there_are_no_demonstration_resources_and_no_grant_except_the_administrators() {
    let server = TestServer::start_with(Options { demo: false, ..Options::default() }).await;
    let stranger = server.stranger();
    assert_eq!(stranger.get("/resource/whoami").await.status, 404);
    let document = stranger.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(document["grant_types_supported"], json!(["client_credentials"]));
    assert_eq!(stranger.get("/oauth2/jwks").await.json()["keys"].as_array().map(Vec::len), Some(1));
}
