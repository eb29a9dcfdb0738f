//! Every row of the refusal table, at the standard path and at the guide's.

use countersign_testkit::{Actor, Answer, TestServer, basic};

const PATHS: [&str; 2] = ["/oauth2/token", "/OAuth2/Token/oauthclient"];
/// Headers or parameters to send.
type Pairs<'a> = Vec<(&'a str, &'a str)>;

const FORM: &str = "application/x-www-form-urlencoded";

/// Sends one request exactly as described.
async fn post(actor: &Actor, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = actor.request("POST", path).body(body.to_vec());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    actor.send(request).await
}

fn check(answer: &Answer, status: u16, error: &str, what: &str) {
    assert_eq!(answer.refusal(), (status, error.to_owned()), "{what}: {answer}");
    assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    assert_eq!(answer.header("pragma"), "no-cache", "{what}");
    assert_eq!(answer.header("content-type"), "application/json", "{what}");
    assert!(!answer.header("x-request-id").is_empty(), "{what}");
    assert!(!answer.text("error_description").is_empty(), "{what}");
}

#[tokio::test]
async fn a_body_that_is_not_a_plain_form_is_an_invalid_request() {
    let server = TestServer::start().await;
    let (service, demo) = (server.demo_service(), server.demo());
    let good = basic(&demo.client_id, demo.client_secret.expose());
    let auth = ("authorization", good.as_str());
    let form = ("content-type", FORM);
    let grant = "grant_type=client_credentials";
    let rows: [(&str, Pairs<'_>, String, u16); 22] = [
        ("no grant_type", vec![auth, form], "scope=all".into(), 400),
        ("an empty grant_type", vec![auth, form], "grant_type=".into(), 400),
        ("an empty body", vec![auth, form], String::new(), 400),
        ("a repeated parameter", vec![auth, form], format!("{grant}&scope=all&scope=all"), 400),
        ("a repeated parameter, once escaped", vec![auth, form], format!("{grant}&%67rant_type=password"), 400),
        ("a repeated unknown parameter", vec![auth, form], format!("{grant}&x=1&x=1"), 400),
        ("a repeated parameter without values", vec![auth, form], format!("{grant}&scope=&scope="), 400),
        ("JSON", vec![auth, ("content-type", "application/json")], r#"{"grant_type":"x"}"#.into(), 400),
        ("text", vec![auth, ("content-type", "text/plain")], grant.into(), 400),
        ("no content type", vec![auth], grant.into(), 400),
        ("multipart", vec![auth, ("content-type", "multipart/form-data; boundary=x")], grant.into(), 400),
        ("two content types", vec![auth, form, form], grant.into(), 400),
        (
            "another charset",
            vec![auth, ("content-type", "application/x-www-form-urlencoded; charset=iso-8859-1")],
            grant.into(),
            400,
        ),
        ("an invalid UTF-8 escape", vec![auth, form], format!("{grant}&x=%ff"), 400),
        ("a NUL", vec![auth, form], format!("{grant}&x=%00"), 400),
        ("a broken escape", vec![auth, form], format!("{grant}&x=%zz"), 400),
        ("a cut escape", vec![auth, form], format!("{grant}&x=%2"), 400),
        ("too many parameters", vec![auth, form], format!("{grant}{}", many_parameters()), 400),
        ("two Authorization headers", vec![auth, auth, form], grant.into(), 400),
        ("a Content-Encoding", vec![auth, form, ("content-encoding", "gzip")], grant.into(), 415),
        ("an identity Content-Encoding", vec![auth, form, ("content-encoding", "identity")], grant.into(), 415),
        ("a body over 64 KiB", vec![auth, form], format!("{grant}&x={}", "x".repeat(64 * 1024)), 413),
    ];
    for path in PATHS {
        for (what, headers, body, status) in &rows {
            let answer = post(&service, path, headers, body.as_bytes()).await;
            check(&answer, *status, "invalid_request", &format!("{what} at {path}"));
        }
        let raw = post(&service, path, &[auth, form], b"grant_type=client_credentials&x=\xFF").await;
        check(&raw, 400, "invalid_request", "not UTF-8");
        let in_url = format!("{path}?grant_type=client_credentials");
        check(&post(&service, &in_url, &[auth, form], b"").await, 400, "invalid_request", "parameters in the URL");
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_and_our_own_are_not() {
    let server = TestServer::start().await;
    let (service, demo) = (server.demo_service(), server.demo());
    let good = basic(&demo.client_id, demo.client_secret.expose());
    let (auth, form) = (("authorization", good.as_str()), ("content-type", FORM));
    let foreign = [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")];
    for path in ["/oauth2/token", "/OAuth2/Token/oauthclient", "/oauth2/introspect", "/oauth2/revoke"] {
        let body = b"grant_type=client_credentials&token=x";
        for header in foreign {
            let answer = post(&service, path, &[auth, form, header], body).await;
            check(&answer, 400, "invalid_request", &format!("{path} {header:?}"));
        }
        let ours = [auth, form, ("origin", demo.issuer.as_str()), ("sec-fetch-site", "same-origin")];
        assert_eq!(post(&service, path, &ours, body).await.status, 200, "{path}");
    }
}

fn many_parameters() -> String {
    (0..64).map(|index| format!("&p{index}=1")).collect()
}

#[tokio::test]
async fn a_form_may_have_a_charset_and_unknown_parameters() {
    let server = TestServer::start().await;
    let (service, demo) = (server.demo_service(), server.demo());
    let auth = basic(&demo.client_id, demo.client_secret.expose());
    for content_type in
        [FORM, "Application/X-WWW-Form-Urlencoded; Charset=\"UTF-8\"", "application/x-www-form-urlencoded;q=1"]
    {
        let headers = [("authorization", auth.as_str()), ("content-type", content_type)];
        let answer =
            post(&service, PATHS[0], &headers, b"grant_type=client_credentials&unknown=1&scope=&resource=").await;
        assert_eq!(answer.status, 200, "{content_type}: {answer}");
    }
}

#[tokio::test]
async fn every_other_method_returns_405_with_allow() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    for path in ["/oauth2/token", "/OAuth2/Token/oauthclient", "/oauth2/introspect", "/OAuth2/Revoke/oauthclient"] {
        for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
            let answer = service.send(service.request(method, path)).await;
            check(&answer, 405, "invalid_request", &format!("{method} {path}"));
            assert_eq!(answer.header("allow"), "POST");
        }
    }
    for path in ["/oauth2/jwks", "/livez", "/.well-known/oauth-authorization-server"] {
        let answer = service.send(service.request("DELETE", path)).await;
        check(&answer, 405, "invalid_request", path);
        assert_eq!(answer.header("allow"), "GET,HEAD");
    }
    let nowhere = service.get("/nowhere").await;
    assert_eq!(nowhere.refusal(), (404, "invalid_request".to_owned()));
}

#[tokio::test]
async fn all_failed_authentications_get_the_same_response_and_missing_ones_a_hint() {
    let server = TestServer::start().await;
    let (service, demo) = (server.demo_service(), server.demo());
    let (id, secret) = (demo.client_id.as_str(), demo.client_secret.expose());
    let typo = format!("{}-", &secret[..secret.len() - 1]);
    let authorizations = [
        ("an unknown client", basic("nobody", secret)),
        ("a wrong secret", basic(id, "wrong")),
        ("a mistyped secret", basic(id, &typo)),
        ("an empty secret", basic(id, "")),
        ("an empty id", basic("", secret)),
        ("an id in another case", basic("Demo-Service", secret)),
        ("no colon", "Basic bm90aGluZw==".to_owned()),
        ("no base64", "Basic ???".to_owned()),
        ("nothing after Basic", "Basic".to_owned()),
        ("a broken escape", basic(id, "%zz")),
        ("another scheme", "Bearer abc".to_owned()),
    ];
    let mut bodies = Vec::new();
    for path in ["/oauth2/token", "/OAuth2/Token/oauthclient", "/oauth2/introspect", "/oauth2/revoke"] {
        for (what, authorization) in &authorizations {
            let headers = [("authorization", authorization.as_str()), ("content-type", FORM)];
            let answer = post(&service, path, &headers, b"grant_type=client_credentials&token=x").await;
            check(&answer, 401, "invalid_client", &format!("{what} at {path}"));
            assert_eq!(answer.header("www-authenticate"), "Basic realm=\"countersign\", charset=\"UTF-8\"");
            bodies.push(answer.body_without_id());
        }
        for body in
            ["grant_type=client_credentials", "grant_type=x&client_id=demo-service", "grant_type=x&client_secret=s"]
        {
            let answer = post(&service, path, &[("content-type", FORM)], format!("{body}&token=x").as_bytes()).await;
            check(&answer, 401, "invalid_client", &format!("{body} at {path}"));
            let words = answer.text("error_description");
            assert_eq!(words, "send client_id and client_secret with HTTP Basic or in the body", "{body} at {path}");
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[tokio::test]
async fn basic_with_the_same_client_id_in_the_body_is_allowed_but_not_with_more() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let with = async |name, value| service.token(&[("grant_type", "client_credentials"), (name, value)]).await;
    assert_eq!(with("client_id", "demo-service").await.status, 200);
    check(&with("client_id", "another").await, 400, "invalid_request", "another client ID");
    check(&with("client_secret", "x").await, 400, "invalid_request", "also a secret in the body");
    let secret = server.demo().client_secret.expose();
    check(&with("client_secret", secret).await, 400, "invalid_request", "even the correct one");
}

#[tokio::test]
async fn refused_grants_and_scopes_are_named() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let audience = server.demo().audience.clone();
    let grant = ("grant_type", "client_credentials");
    let rows: [(&str, Pairs<'_>, &str); 12] = [
        ("an unknown grant", vec![("grant_type", "implicit")], "unsupported_grant_type"),
        ("a grant in another case", vec![("grant_type", "Client_Credentials")], "unsupported_grant_type"),
        ("an unknown scope", vec![grant, ("scope", "nothing")], "invalid_scope"),
        ("one unknown scope among good ones", vec![grant, ("scope", "all nothing")], "invalid_scope"),
        ("a malformed scope", vec![grant, ("scope", "a\"b")], "invalid_scope"),
        ("two spaces", vec![grant, ("scope", "all  all")], "invalid_scope"),
        ("an unknown resource", vec![grant, ("resource", "https://nobody.example")], "invalid_target"),
        ("a relative resource", vec![grant, ("resource", "oauthclient")], "invalid_target"),
        (
            "several resources",
            vec![grant, ("resource", &audience), ("resource", "https://b.example")],
            "invalid_target",
        ),
        ("a password grant without a user", vec![("grant_type", "password"), ("password", "x")], "invalid_request"),
        ("a password grant without a password", vec![("grant_type", "password"), ("username", "x")], "invalid_request"),
        ("a refresh without a token", vec![("grant_type", "refresh_token")], "invalid_request"),
    ];
    for path in PATHS {
        for (what, form, error) in &rows {
            check(&service.post(path, form).await, 400, error, &format!("{what} at {path}"));
        }
        let twice = [grant, ("resource", audience.as_str()), ("resource", audience.as_str())];
        assert_eq!(service.post(path, &twice).await.status, 200);
    }
    let named = service.token(&[grant, ("scope", "all nothing")]).await;
    assert_eq!(named.text("error_description"), "unknown scope nothing");
    let unprintable = service.token(&[grant, ("scope", "a\"b\u{e9}")]).await;
    assert_eq!(unprintable.text("error_description"), "malformed scope a?b?");
    for path in ["/OAuth2/Token/nothing", "/OAuth2/Token/%ff", "/OAuth2/Token/%20", "/OAuth2/Token/oauthclient%00"] {
        let answer = service.post(path, &[grant]).await;
        check(&answer, 404, "invalid_request", path);
        assert!(answer.text("error_description").contains("remove the last segment"), "{answer}");
    }
    let implicit = service.token(&[("grant_type", "implicit")]).await.text("error_description");
    assert!(implicit.ends_with("use one of client_credentials, password, refresh_token"), "{implicit}");
    let unknown_to_a_stranger = server.stranger().post("/OAuth2/Token/nothing", &[grant]).await;
    check(&unknown_to_a_stranger, 401, "invalid_client", "the client is checked before the tenant");
}

#[tokio::test]
async fn the_order_of_checks_is_method_form_client_grant_api_scope() {
    let server = TestServer::start().await;
    let (service, stranger) = (server.demo_service(), server.stranger());
    let broken = stranger.post_raw("/oauth2/token", "grant_type=x&x=%zz").await;
    check(&broken, 400, "invalid_request", "the form before the client");
    let unknown = stranger.token(&[("grant_type", "implicit")]).await;
    check(&unknown, 401, "invalid_client", "the client before the grant");
    let grant = service.token(&[("grant_type", "implicit"), ("resource", "https://nobody.example")]).await;
    check(&grant, 400, "unsupported_grant_type", "the grant before the API");
    let target = [("grant_type", "password"), ("resource", "https://nobody.example"), ("scope", "nothing")];
    check(&service.token(&target).await, 400, "invalid_target", "the API before the grant's parameters");
    let parameters = [("grant_type", "password"), ("scope", "nothing")];
    check(&service.token(&parameters).await, 400, "invalid_request", "the parameters before the scope");
    let scope = [("grant_type", "password"), ("scope", "nothing"), ("username", "nobody"), ("password", "x")];
    check(&service.token(&scope).await, 400, "invalid_scope", "the scope before the password");
}
