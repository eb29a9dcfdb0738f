//! Every call, from the client to the wire and back.

use countersign_client::{Client, ClientAuthMethod, ClientError, Endpoints, HttpTransport, Secret, TransportError};

use crate::server::Server;

const TOKEN_SET: &str =
    r#"{"access_token":"at-hunter2","token_type":"Bearer","expires_in":60,"scope":"all","refresh_token":"rt-hunter2"}"#;

fn client_of(server: &Server) -> Client<HttpTransport> {
    let endpoints = Endpoints::tenant(&server.url("/"), "app").expect("loopback");
    Client::new(endpoints, "job", Secret::new("cs-hunter2"), HttpTransport::new().expect("a transport"))
}

/// The request's path, its `Authorization`, and its body.
fn heard(server: &Server) -> (String, String, String) {
    let request = server.next().expect("a request");
    let (head, body) = request.split_once("\r\n\r\n").expect("headers");
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let authorization = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
    (path, authorization.to_owned(), body.to_owned())
}

#[tokio::test]
async fn a_prepared_request_is_sent_byte_for_byte() {
    let server = Server::answering("200 OK", "", TOKEN_SET);
    let client = client_of(&server);
    let password = Secret::new("pä ss+w%rd");
    let prepared = client.prepare_password("o'brien", &password, Some("all"));
    let expected = prepared.to_http();
    let token = client.request_token(prepared).await.expect("a token");
    assert_eq!((token.access_token.expose(), token.expires_in), ("at-hunter2", Some(60)));
    let (path, authorization, body) = heard(&server);
    assert_eq!(path, expected.uri().path());
    assert_eq!(authorization.as_bytes(), expected.headers()["authorization"].as_bytes());
    assert_eq!(body.as_bytes(), expected.body().as_slice());
    client.request_token_with_password("o'brien", &password, Some("all")).await.expect("a token");
    assert_eq!(heard(&server), (path, authorization, body));
}

#[tokio::test]
async fn tokens_are_requested_and_refreshed() {
    let server = Server::answering("200 OK", "", TOKEN_SET);
    let client = client_of(&server);
    let token = client.request_token_with_client_credentials(None).await.expect("a token");
    assert_eq!(heard(&server).2, "grant_type=client_credentials");
    let refresh_token = token.refresh_token.expect("a refresh token");
    client.refresh_token(&refresh_token, None).await.expect("a token");
    assert_eq!(heard(&server).2, "grant_type=refresh_token&refresh_token=rt-hunter2");
    let client = client.with_auth_method(ClientAuthMethod::ClientSecretPost).with_resource("https://api.example");
    client.request_token_with_client_credentials(Some("a b")).await.expect("a token");
    let (path, authorization, body) = heard(&server);
    assert_eq!((path.as_str(), authorization.as_str()), ("/OAuth2/Token/app", ""));
    assert_eq!(
        body,
        "grant_type=client_credentials&client_id=job&client_secret=cs-hunter2&scope=a+b&resource=https%3A%2F%2Fapi.example"
    );
}

#[tokio::test]
async fn a_token_is_introspected_and_revoked() {
    let server = Server::answering("200 OK", "", r#"{"active":false}"#);
    let client = client_of(&server);
    let token = Secret::new("t");
    let members = client.introspect(&token).await.expect("a response");
    assert_eq!(members["active"], false);
    assert_eq!(heard(&server).0, "/OAuth2/Introspect/app");
    client.revoke_token(&token).await.expect("revoked");
    let (path, _, body) = heard(&server);
    assert_eq!((path.as_str(), body.as_str()), ("/OAuth2/Revoke/app", "token=t"));
}

#[tokio::test]
async fn every_refusal_is_typed_and_shows_no_secret() {
    let refused = r#"{"error":"invalid_client","error_description":"who?"}"#;
    for (status, headers, body, oauth_error, retry_after_s) in [
        ("400 Bad Request", "", r#"{"error":"invalid_scope"}"#, Some("invalid_scope"), None),
        ("401 Unauthorized", "www-authenticate: Basic\r\n", refused, Some("invalid_client"), None),
        ("429 Too Many Requests", "retry-after: 7\r\n", refused, Some("invalid_client"), Some(7)),
        ("503 Unavailable", "retry-after: 5\r\n", "", None, Some(5)),
        ("500 Oops", "content-type: text/html\r\n", "<h1>Oops</h1>", None, None),
        ("200 OK", "", "not JSON", None, None),
        ("200 OK", "", r#"{"access_token":"at-hunter2","token_type":"MAC"}"#, None, None),
    ] {
        let server = Server::answering(status, headers, body);
        let client = client_of(&server);
        let error = client.request_token_with_client_credentials(None).await.expect_err(status);
        assert_eq!((error.oauth_error(), error.retry_after_s()), (oauth_error, retry_after_s), "{status}");
        let is_malformed = matches!(error, ClientError::Malformed { .. });
        assert_eq!(error.status().is_none(), is_malformed, "{error:?}");
        assert!(!format!("{error} {error:?} {client:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_error() {
    let server = Server::answering("307 Temporary Redirect", "location: https://elsewhere.example/\r\n", "");
    let error = client_of(&server).revoke_token(&Secret::new("t")).await.expect_err("a redirect");
    assert!(matches!(error, ClientError::Transport(TransportError::Redirect { status: 307 })), "{error:?}");
    assert_eq!(error.status(), Some(307));
}
