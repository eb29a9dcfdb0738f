//! The demonstration resources: which requests a token allows.

use countersign_testkit::{Answer, TestServer};

const CHALLENGE: &str = "Bearer realm=\"oauthclient\"";
const METADATA: &str = "resource_metadata=\"http://127.0.0.1:8080/.well-known/oauth-protected-resource/resource\"";

#[tokio::test]
async fn a_scope_only_allows_its_own_paths() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let token = async |scope: &str| service.client_credentials(scope).await.text("access_token");
    let (read, write, all) = (token("reports:read").await, token("reports:write").await, token("all").await);
    let rows = [
        (&read, "GET", "/resource/reports", 200),
        (&read, "HEAD", "/resource/reports", 200),
        (&read, "POST", "/resource/reports", 403),
        (&read, "GET", "/resource/whoami", 403),
        (&write, "GET", "/resource/reports", 403),
        (&write, "POST", "/resource/reports", 400), // allowed, but the body has no report
        (&all, "GET", "/resource/whoami", 200),
        (&all, "DELETE", "/resource/whoami", 405),
        (&all, "GET", "/resource/nothing", 404),
        (&all, "GET", "/resource", 404),
        (&all, "GET", "/resource/", 404),
        (&read, "GET", "/resource/nothing", 403),
    ];
    for (token, method, path, status) in rows {
        assert_eq!(service.call(method, path, token).await.status, status, "{method} {path}");
    }
    let refused = service.call("POST", "/resource/reports", &read).await;
    assert_eq!(refused.text("error"), "insufficient_scope");
    let challenge = refused.header("www-authenticate");
    assert!(challenge.starts_with(CHALLENGE) && challenge.ends_with(METADATA), "{challenge}");
    assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
    assert!(challenge.contains("scope=\"reports:write\""), "the narrowest sufficient scope: {challenge}");

    let report = service.request("POST", "/resource/reports").bearer_auth(&write).body(r#"{"title":"Q3"}"#);
    let created = service.send(report).await;
    assert_eq!((created.status, created.text("author")), (201, "demo-service".to_owned()), "{created}");
    assert_eq!(service.call("GET", "/resource/reports", &read).await.json()["reports"][0]["title"], "Q3");
}

#[tokio::test]
async fn without_a_token_the_challenge_names_no_error() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    let rows = [
        stranger.request("GET", "/resource/whoami"),
        stranger.request("GET", "/resource/whoami?access_token=x"),
        stranger.request("GET", "/resource/whoami").basic_auth("demo-service", Some("x")),
        stranger.request("GET", "/resource/nothing"),
        stranger.request("GET", "/resource/"),
    ];
    for request in rows {
        let answer = stranger.send(request).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), format!("{CHALLENGE}, {METADATA}"));
        assert_eq!(answer.text("error"), "");
    }
}

#[tokio::test]
async fn all_invalid_tokens_get_the_same_response() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let good = service.client_credentials("all").await.text("access_token");
    let revoked = service.client_credentials("all").await.text("access_token");
    service.revoke(&revoked).await;
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0"; // {"alg":"none","typ":"at+jwt"}
    let mut answers: Vec<Answer> = Vec::new();
    let tokens = [
        revoked.clone(),
        "garbage".to_owned(),
        format!("{none}.{payload}."),
        format!("{header}.{payload}."),
        format!("{header}.{payload}.{signature}="),
        format!("{good}.x"),
        signed.to_owned(),
        server.demo().client_secret.expose().to_owned(),
    ];
    for token in &tokens {
        answers.push(service.call("GET", "/resource/whoami", token).await);
    }
    server.advance(7200).await;
    answers.push(service.call("GET", "/resource/whoami", &good).await);
    for answer in &answers {
        assert_eq!((answer.status, answer.text("error")), (401, "invalid_token".to_owned()), "{answer}");
        assert_eq!(answer.body_without_id(), answers[0].body_without_id());
        assert_eq!(answer.header("www-authenticate"), answers[0].header("www-authenticate"));
    }
}

#[tokio::test]
async fn two_authorization_headers_are_refused() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let token = service.client_credentials("all").await.text("access_token");
    let twice = service.request("GET", "/resource/whoami").bearer_auth(&token).bearer_auth(&token);
    assert_eq!(service.send(twice).await.refusal(), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn a_path_that_parsers_might_read_differently_is_refused_with_400() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let token = service.client_credentials("reports:read").await.text("access_token");
    let get = async |path: &str| {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        let answer = service.raw(request.as_bytes()).await;
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    for ambiguous in [
        "/resource/reports/../whoami",
        "/resource/reports/%2e%2e/whoami",
        "/resource/reports%2F..%2Fwhoami",
        "/resource//reports",
        "/resource/reports/./x",
        "/resource/reports;x",
        "/resource/reports%3Bx",
        "/resource/reports%00",
        "/resource/%252e%252e/whoami",
        "/resource/reports\\x",
        "/resource/reports%5cx",
        "/resource/reports%ff",
    ] {
        assert_eq!(get(ambiguous).await, "400", "{ambiguous}");
    }
    assert_eq!(get("/resource/%72eports").await, "200", "guard and router see the same decoded path");
    assert_eq!(get("/resource/reports?x=../whoami").await, "200", "the query does not matter");
    assert_eq!(get("/resource/REPORTS").await, "403", "case matters");
    assert_eq!(get("/resource/reports.").await, "403");
    assert_eq!(get("/%72esource/reports").await, "404");
}
