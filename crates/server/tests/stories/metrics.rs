//! Metrics never name a client, and are not served through a proxy.

use countersign_testkit::{Options, TestServer};
use serde_json::json;

const DAY_S: i64 = 86_400;

#[tokio::test]
async fn metrics_cover_tokens_requests_keys_and_expiring_secrets_but_name_no_client() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    service.client_credentials("all").await;
    service.token(&[("grant_type", "client_credentials"), ("scope", "nonsense")]).await;
    service.token(&[("grant_type", "unheard-of")]).await;
    server.stranger().get("/nowhere").await;
    let secret = json!({ "expires_at": server.state.now() + 6 * DAY_S });
    let operator = server.operator().await;
    assert_eq!(operator.post("/clients/demo-service/secrets", secret).await.status, 201);
    let answer = server.stranger().get("/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        // The other token is the administrator's.
        "countersign_tokens_issued_total{grant=\"client_credentials\",result=\"issued\"} 2\n",
        "countersign_tokens_issued_total{grant=\"client_credentials\",result=\"invalid_scope\"} 1\n",
        "countersign_tokens_issued_total{grant=\"other\",result=\"unsupported_grant_type\"} 1\n",
        "http_server_request_duration_seconds_count{http_request_method=\"POST\",http_route=\"/oauth2/token\",\
         http_response_status_code=\"200\"} 2\n",
        "http_server_request_duration_seconds_count{http_request_method=\"GET\",http_route=\"other\",\
         http_response_status_code=\"404\"} 1\n",
        "countersign_secrets_expiring 1\n",
        "countersign_registry_fresh 1\n",
        "countersign_signing_key_age_seconds{algorithm=\"RS256\"} 0\n",
    ] {
        assert!(answer.body.contains(line), "{line}\n{}", answer.body);
    }
    for name in ["demo-service", "operator", "nowhere", "nonsense"] {
        assert!(!answer.body.contains(name), "{name}");
    }
}

#[tokio::test]
async fn metrics_are_not_served_through_a_proxy() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    for header in ["forwarded", "x-forwarded-for", "x-forwarded-proto"] {
        let request = stranger.request("GET", "/metrics").header(header, "for=192.0.2.1");
        assert_eq!(stranger.send(request).await.status, 404, "{header}");
    }
    let trusted_proxies = vec!["10.0.0.0/8".to_owned()];
    let behind = TestServer::start_with(Options { trusted_proxies, ..Options::default() }).await;
    assert_eq!(behind.stranger().get("/metrics").await.status, 404, "metrics.listen serves them then");
}
