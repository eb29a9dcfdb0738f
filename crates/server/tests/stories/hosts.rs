//! The `Host` header. Another name may be a DNS rebinding attack by a hostile page, which gets no access.

use countersign_testkit::{Answer, Options, TestServer};

async fn get(server: &TestServer, path: &str, host: &str, more: &[(&str, &str)]) -> Answer {
    let stranger = server.stranger();
    let mut request = stranger.request("GET", path).header("host", host);
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    stranger.send(request).await
}

#[tokio::test]
async fn a_rebound_host_name_gets_a_421_in_the_format_of_the_requested_route() {
    let server = TestServer::start().await;
    let foreign = "evil.example:8080";
    for path in ["/oauth2/jwks", "/oauth2/token", "/resource/whoami", "/nowhere", "/", "/login", "/static/x/style.css"]
    {
        let answer = get(&server, path, foreign, &[]).await;
        assert_eq!(answer.refusal(), (421, "invalid_request".to_owned()), "{path}: {answer}");
        assert!(answer.text("error_description").contains("Host"), "{answer}");
        assert!(!answer.header("x-request-id").is_empty() && answer.header("set-cookie").is_empty(), "{answer}");
    }
    let answer = get(&server, "/admin/v1/apis", foreign, &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (421, "application/problem+json"), "{answer}");
    assert_eq!(
        (answer.text("type"), answer.text("field")),
        ("urn:countersign:problem:misdirected".into(), "Host".into())
    );
    let answer = get(&server, "/api/getUISettings", foreign, &[("origin", "http://evil.example:8080")]).await;
    assert_eq!(answer.fault(), (421, "misdirected".to_owned()), "{answer}");
    assert!(answer.header("set-cookie").is_empty(), "no session for another site's page: {answer}");
    let page = get(&server, "/login", foreign, &[("accept", "text/html,*/*;q=0.8")]).await;
    assert_eq!((page.status, page.header("content-type")), (421, "text/html; charset=utf-8"));
    assert!(page.body.contains("href=\"http://127.0.0.1:8080/\"") && !page.body.contains("/static/"), "{page}");
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
}

#[tokio::test]
async fn a_foreign_host_is_explained_to_administrators_and_counted() {
    let server = TestServer::start().await;
    let answer = get(&server, "/oauth2/jwks", "evil.example", &[]).await;
    let refusal = server.operator().await.get(&format!("/refusals/{}", answer.header("x-request-id"))).await;
    assert!(refusal.text("remedy").contains("http.hosts"), "{refusal}");
    assert!(!refusal.body.contains("evil"), "no text from the request is stored: {refusal}");
    let metrics = server.stranger().get("/metrics").await.body;
    assert!(metrics.lines().any(|line| line.contains("421") && line.contains("/oauth2/jwks")), "{metrics}");
}

#[tokio::test]
async fn health_checks_accept_any_host_name() {
    let server = TestServer::start().await;
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(get(&server, path, "pod-7.cluster.local", &[]).await.status, 200, "{path}");
    }
    assert_eq!(get(&server, "/authz/forward", "app.example", &[]).await.status, 404, "the path is accepted");
    assert_eq!(get(&server, "/livez/", "evil.example", &[]).await.status, 421);
    assert_eq!(get(&server, "/authz/forward/x", "evil.example", &[]).await.status, 421);
    let old = server.stranger().raw(b"GET /oauth2/jwks HTTP/1.0\r\n\r\n").await;
    assert!(old.contains(" 200 OK"), "HTTP/1.0 has no Host header: {old}");
}

#[tokio::test]
async fn the_issuers_host_configured_names_and_ip_addresses_are_accepted() {
    let issuer = "https://auth.example.com".to_owned();
    let hosts = vec!["countersign.internal".to_owned()];
    let server = TestServer::start_with(Options { issuer, hosts, ..Options::default() }).await;
    for host in ["auth.example.com", "AUTH.example.com.:444", "Countersign.Internal", "10.1.2.3", "[::1]:1"] {
        assert_eq!(get(&server, "/oauth2/jwks", host, &[]).await.status, 200, "{host}");
    }
    for host in ["localhost", "x.auth.example.com", "example.com", "countersign.internal.evil.example"] {
        assert_eq!(get(&server, "/oauth2/jwks", host, &[]).await.status, 421, "{host}");
        let forwarded = [("x-forwarded-host", "auth.example.com"), ("forwarded", "host=auth.example.com")];
        assert_eq!(get(&server, "/oauth2/jwks", host, &forwarded).await.status, 421, "only Host counts: {host}");
    }
    let server = TestServer::start().await;
    for host in ["localhost:9", "a.localhost", "LOCALHOST."] {
        assert_eq!(get(&server, "/oauth2/jwks", host, &[]).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn the_host_of_an_absolute_request_target_takes_precedence() {
    let server = TestServer::start().await;
    let ask = async |target: &str, host: &str| {
        let head = format!("GET {target} HTTP/1.1\r\n{host}connection: close\r\n\r\n");
        let answer = server.stranger().raw(head.as_bytes()).await;
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let rows = [
        ("http://127.0.0.1:8080/oauth2/jwks", "host: 127.0.0.1:8080\r\n", "200"),
        ("http://evil.example/oauth2/jwks", "host: evil.example\r\n", "421"),
        ("http://evil.example/oauth2/jwks", "host: 127.0.0.1\r\n", "400"),
        ("http://127.0.0.1/oauth2/jwks", "host: evil.example\r\n", "400"),
        ("http://127.0.0.1@evil.example/oauth2/jwks", "host: 127.0.0.1@evil.example\r\n", "400"),
        ("http://127.0.0.1/oauth2/jwks", "", "400"),
        ("/oauth2/jwks", "", "400"),
        ("/oauth2/jwks", "host:\r\n", "400"),
        ("/oauth2/jwks", "host: 127.0.0.1\r\nhost: 127.0.0.1\r\n", "400"),
        ("/oauth2/jwks", "host: 127.0.0.1, evil.example\r\n", "400"),
        ("/oauth2/jwks", "host: 127.0.0.1@evil.example\r\n", "400"),
        ("/admin/v1/apis", "", "400"),
        ("/api/getUISettings", "host: a b\r\n", "400"),
    ];
    for (target, host, status) in rows {
        assert_eq!(ask(target, host).await, status, "{target} {host}");
    }
}

#[tokio::test]
async fn every_response_over_https_sets_hsts() {
    const HSTS: &str = "strict-transport-security";
    let issuer = "https://auth.example.com".to_owned();
    let secure = TestServer::start_with(Options { issuer, ..Options::default() }).await;
    for path in ["/", "/livez", "/oauth2/jwks", "/oauth2/token", "/admin/v1/apis", "/api/getUISettings", "/nowhere"] {
        let answer = get(&secure, path, "auth.example.com", &[]).await;
        assert_eq!(answer.header(HSTS), "max-age=31536000", "{path}: {answer}");
    }
    let foreign = get(&secure, "/", "evil.example", &[]).await;
    assert_eq!((foreign.status, foreign.header(HSTS)), (421, "max-age=31536000"));
    for (issuer, why) in [("http://127.0.0.1:8080", "RFC 6797 §7.2"), ("https://localhost:8443", "others share it")] {
        let server = TestServer::start_with(Options { issuer: issuer.to_owned(), ..Options::default() }).await;
        assert_eq!(get(&server, "/", "127.0.0.1", &[]).await.header(HSTS), "", "{issuer}: {why}");
    }
}
