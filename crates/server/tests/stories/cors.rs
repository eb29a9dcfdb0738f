//! What pages of other origins can read and call (CORS, https://fetch.spec.whatwg.org).

use countersign_testkit::{Actor, Answer, Options, TestServer};

const PAGE: &str = "https://app.example";
const ALLOWED: &str = "access-control-allow-origin";

/// Asks as a browser does before a request that a form could not send.
async fn preflight(actor: &Actor, path: &str, origin: &str, method: &str) -> Answer {
    let request = actor.request("OPTIONS", path).header("origin", origin);
    let request = request.header("access-control-request-method", method);
    actor.send(request.header("access-control-request-headers", "authorization")).await
}

async fn call_from(actor: &Actor, path: &str, origin: &str) -> Answer {
    actor
        .send(
            actor
                .post_request(path, &[("grant_type", "client_credentials"), ("scope", "all")])
                .header("origin", origin),
        )
        .await
}

#[tokio::test]
async fn every_page_can_read_key_sets_and_metadata() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    for path in [
        "/oauth2/jwks",
        "/.well-known/jwks.json",
        "/OAuth2/Keys/oauthclient",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/oauthclient/.well-known/openid-configuration",
    ] {
        let read = stranger.send(stranger.request("GET", path).header("origin", PAGE)).await;
        assert_eq!((read.status, read.header(ALLOWED)), (200, "*"), "{path}");
        assert_eq!(read.header("vary"), "", "the answer is the same for everybody");
        let asked = preflight(&stranger, path, PAGE, "GET").await;
        assert_eq!((asked.status, asked.header(ALLOWED)), (200, "*"), "{path}");
        assert_eq!(asked.header("access-control-allow-methods"), "GET");
        assert_eq!(asked.header("access-control-allow-credentials"), "");
    }
}

#[tokio::test]
async fn no_page_can_call_the_endpoints_for_clients_unless_its_origin_is_named() {
    let server = TestServer::start().await;
    let named = Options { cors_origins: vec![PAGE.to_owned()], ..Options::default() };
    let named = TestServer::start_with(named).await;
    for path in ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/OAuth2/Token/oauthclient"] {
        let service = server.demo_service();
        assert_eq!(preflight(&service, path, PAGE, "POST").await.status, 405, "{path}");
        assert_eq!(call_from(&service, path, PAGE).await.header(ALLOWED), "", "{path}");
        let service = named.demo_service();
        let asked = preflight(&service, path, PAGE, "POST").await;
        assert_eq!((asked.status, asked.header(ALLOWED)), (200, PAGE), "{path}");
        assert_eq!(asked.header("access-control-allow-headers"), "authorization,content-type");
        assert_eq!(call_from(&service, path, PAGE).await.header(ALLOWED), PAGE, "{path}");
        for other in ["https://app.example.evil.example", "http://app.example", "https://app.example:8443", "null"] {
            assert_eq!(preflight(&service, path, other, "POST").await.header(ALLOWED), "", "{path} {other}");
            assert_eq!(call_from(&service, path, other).await.header(ALLOWED), "", "{path} {other}");
        }
    }
    let service = named.demo_service();
    let token = call_from(&service, "/oauth2/token", PAGE).await;
    assert_eq!((token.status, token.header("access-control-allow-credentials")), (200, ""), "{token}");
    for path in ["/admin/v1/clients", "/api/getUISettings", "/livez"] {
        assert_eq!(preflight(&service, path, PAGE, "GET").await.header(ALLOWED), "", "{path}");
    }
}
