//! Headers from a hostile or careless peer: too long, not ASCII, ambiguous framing.

use countersign_testkit::{Options, TestServer};
use serde_json::json;

/// The documented limit of a request's headers, in bytes.
const BOUND: usize = 32 * 1024;

/// A request whose headers have exactly this length, filled by one line or by several.
fn head_of(length: usize, lines: usize) -> Vec<u8> {
    let begin = "GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n";
    let room = length - begin.len() - "\r\n".len();
    let mut head = begin.to_owned();
    for line in 0..lines {
        let share = room / lines + if line == 0 { room % lines } else { 0 };
        head.push_str(&format!("x: {}\r\n", "x".repeat(share - "x: \r\n".len())));
    }
    head.push_str("\r\n");
    assert_eq!(head.len(), length);
    head.into_bytes()
}

#[tokio::test]
async fn request_headers_are_limited_to_32_kib_in_one_line_or_many() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    for lines in [1, 50] {
        let most = stranger.raw(&head_of(BOUND, lines)).await;
        assert!(most.starts_with("HTTP/1.1 200"), "{lines} lines: {most}");
        let more = stranger.raw(&head_of(BOUND + 1, lines)).await;
        assert!(more.starts_with("HTTP/1.1 431"), "{lines} lines: {more}");
    }
    // The same in pieces. The second byte arrives after the first part was read.
    for (length, status) in [(BOUND, "HTTP/1.1 200"), (BOUND + 1, "HTTP/1.1 431")] {
        let head = head_of(length, 1);
        let answer = stranger.raw_in_pieces(&[&head[..9000], &head[9000..20_000], &head[20_000..]]).await;
        assert!(answer.starts_with(status), "{length}: {answer}");
    }
}

#[tokio::test]
async fn chunked_is_the_only_transfer_encoding() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    let sent = async |version: &str, framing: &str| {
        let head = format!(
            "POST /oauth2/token HTTP/{version}\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
             content-type: application/x-www-form-urlencoded\r\n{framing}\r\n\r\n"
        );
        let answer = stranger.raw(format!("{head}c\r\ngrant_type=x\r\n0\r\n\r\n").as_bytes()).await;
        answer.lines().next().unwrap_or_default().to_owned()
    };
    for chunked in ["chunked", "Chunked"] {
        let answer = sent("1.1", &format!("transfer-encoding: {chunked}")).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "the form is parsed: {answer}");
    }
    for framing in [
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: identity",
        "transfer-encoding: identity, chunked",
        "transfer-encoding: ,chunked",
        "transfer-encoding: chunked;x=y",
        "transfer-encoding: xchunked",
        "transfer-encoding:",
    ] {
        let answer = sent("1.1", framing).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{framing}: {answer}");
    }
    let old = sent("1.0", "transfer-encoding: chunked").await;
    assert!(
        old.starts_with("HTTP/1.1 400") || old.starts_with("HTTP/1.0 400"),
        "HTTP/1.0 does not support chunks: {old}"
    );
}

#[tokio::test]
async fn an_ambiguously_framed_body_closes_the_connection() {
    let server = TestServer::start().await;
    let smuggled = "GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    for framing in
        ["content-length: 4\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 4"]
    {
        let head = "POST /oauth2/token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded";
        let answer = server.stranger().raw(format!("{head}\r\n{framing}\r\n\r\n0\r\n\r\n{smuggled}").as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{framing}: {answer}");
    }
}

#[tokio::test]
async fn a_non_ascii_byte_does_not_hide_the_caller() {
    let trusted_proxies = vec!["127.0.0.1/32".to_owned()];
    let server = TestServer::start_with(Options { trusted_proxies, ..Options::default() }).await;
    let operator = server.operator().await;
    for forwarded in [
        &b"x-forwarded-for: \xff, 203.0.113.9"[..],
        b"x-forwarded-for: \xff\r\nx-forwarded-for: 203.0.113.9",
        b"x-forwarded-for: 198.51.100.1, caf\xc3\xa9\r\nx-forwarded-for: 203.0.113.9\r\nx-forwarded-for: 127.0.0.1",
    ] {
        let head = b"POST /oauth2/token HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
                     content-type: application/x-www-form-urlencoded\r\ncontent-length: 12\r\n";
        let answer = server.stranger().raw(&[head, forwarded, b"\r\n\r\ngrant_type=x"].concat()).await;
        let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("a request id");
        let refusal = operator.get(&format!("/refusals/{id}")).await;
        assert_eq!(refusal.text("address"), "203.0.113.9", "{refusal}");
    }
}

#[tokio::test]
async fn a_cookie_of_another_site_does_not_hide_ours() {
    let server = TestServer::start().await;
    let browser = server.demo_browser().await;
    let ours: Vec<String> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let ask = async |cookies: &[&[u8]]| {
        let mut head = b"GET /api/getSettings HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n".to_vec();
        head.extend(format!("x-xsrf-token: {}\r\n", browser.cookies["XSRF-TOKEN"]).as_bytes());
        for cookie in cookies {
            head.extend([b"cookie: ", *cookie, b"\r\n"].concat());
        }
        head.extend(b"\r\n");
        let answer = server.stranger().raw(&head).await;
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let all = ours.join("; ");
    assert_eq!(ask(&[all.as_bytes()]).await, "200");
    assert_eq!(ask(&[format!("theirs=caf\u{e9}; {all}").as_bytes()]).await, "200");
    assert_eq!(ask(&[&[b"theirs=\xff; ", all.as_bytes()].concat()]).await, "200");
    let each: Vec<&[u8]> =
        [b"theirs=\xff"].map(|theirs| &theirs[..]).into_iter().chain(ours.iter().map(String::as_bytes)).collect();
    assert_eq!(ask(&each).await, "200", "a line for each, as HTTP/2 sends them");
    // A second cookie with our name belongs to another site, even if it is not text.
    assert_eq!(ask(&[&[all.as_bytes(), b"; cs_session=\xff"].concat()]).await, "401");
}

#[tokio::test]
async fn a_foreign_entity_tag_does_not_hide_ours() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let made = operator.post("/apis", json!({ "id": "billing", "audience": "https://billing.example" })).await;
    let tag = made.header("etag").to_owned();
    let named = |tags: &str| vec![("if-match", tags.to_owned())];
    for tags in [named(&format!("\"caf\u{e9}\", {tag}")), named(&format!("\"x\", {tag}"))] {
        let headers: Vec<(&str, &str)> = tags.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let changed = operator.call("PATCH", "/apis/billing", Some(&json!({ "name": "x" })), &headers).await;
        assert!(changed.status == 200 || tag != operator.get("/apis/billing").await.header("etag"), "{changed}");
        assert_eq!(changed.status, 200, "{changed}");
        let back = operator.call("PATCH", "/apis/billing", Some(&json!({ "name": made.json()["name"] })), &[]).await;
        assert_eq!(back.header("etag"), tag, "{back}");
    }
}

#[tokio::test]
async fn every_json_error_has_the_request_id_except_in_the_guides_envelope() {
    let server = TestServer::start().await;
    let (service, stranger) = (server.demo_service(), server.stranger());
    let mut answers = Vec::new();
    for path in ["/oauth2/token", "/OAuth2/Token/oauthclient", "/oauth2/introspect", "/oauth2/revoke", "/resource/x"] {
        answers.push(stranger.post(path, &[("token", "x")]).await);
        answers.push(stranger.get(path).await);
    }
    for path in ["/nowhere", "/admin/v1/clients", "/admin/v1/nowhere", "/resource/whoami", "/oauth2/authorize"] {
        answers.push(stranger.get(path).await);
    }
    answers.push(service.token(&[("grant_type", "client_credentials"), ("scope", "unknown")]).await);
    answers.push(service.call("GET", "/admin/v1/clients", "not-a-token").await);
    answers.push(stranger.send(stranger.request("GET", "/oauth2/jwks").header("host", "elsewhere.example")).await);
    answers.push(stranger.send(stranger.request("GET", "/admin/v1/x").header("host", "elsewhere.example")).await);
    let places = server.state.take_all_places();
    answers.extend([stranger.get("/oauth2/jwks").await, stranger.get("/admin/v1/clients").await]);
    drop(places);
    for answer in &answers {
        assert!(answer.status >= 400 && !answer.header("x-request-id").is_empty(), "{answer}");
        assert!(!answer.body_without_id().as_object().unwrap().is_empty(), "{answer}");
    }
    let called = stranger.get("/api/nowhere").await;
    assert!(called.status >= 400 && called.json()["request_id"].is_null(), "{called}");
    for path in ["/nowhere", "/resource/whoami"] {
        let (get, head) = (stranger.get(path).await, stranger.send(stranger.request("HEAD", path)).await);
        assert_eq!((head.status, head.body.as_str()), (get.status, ""));
        assert!(["", get.header("content-length")].contains(&head.header("content-length")), "{path}");
    }
}

#[tokio::test]
async fn json_ends_with_a_newline() {
    let server = TestServer::start().await;
    for path in ["/oauth2/jwks", "/.well-known/oauth-authorization-server", "/nowhere", "/admin/v1/openapi.json"] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
        let answer = server.stranger().raw(head.as_bytes()).await;
        assert!(answer.ends_with("}\n"), "{path}: {answer}");
    }
    let form = b"grant_type=client_credentials&client_id=x&client_secret=y";
    let head = format!(
        "POST /oauth2/token HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n",
        form.len()
    );
    let answer = server.stranger().raw(&[head.as_bytes(), form].concat()).await;
    assert!(answer.ends_with("\"}\n"), "{answer}");
}
