//! Requests that did not come from our own pages are refused and change nothing.

use countersign_testkit::{Answer, Browser, RequestBuilder, TestServer};
use serde_json::json;

/// Makes a visible change.
fn update(browser: &Browser) -> RequestBuilder {
    let changed =
        json!({ "oauthAppId": "oauthclient", "oauthServiceUserName": "demo-service", "oauthScopesSupported": "" });
    browser.request("PUT", "/api/updateSettings").json(&changed)
}

fn is_xsrf(answer: &Answer) -> bool {
    answer.fault() == (403, "xsrf".to_owned())
}

/// Sends a request, and asserts that it is refused and changes nothing.
async fn refused(server: &TestServer, browser: &Browser, request: RequestBuilder, why: &str) {
    let answer = browser.clone().send(request).await;
    assert!(is_xsrf(&answer), "{why}: {answer}");
    let settings = server.demo_browser().await.get("getSettings").await.result();
    assert_eq!(settings["oauthScopesSupported"], "all", "{why}");
}

#[tokio::test]
async fn every_call_needs_a_session_and_its_xsrf_pair_unlike_in_the_original() {
    let server = TestServer::start().await;
    let mut stranger = server.browser();
    stranger.get("getUISettings").await;
    let mut signed_in = server.demo_browser().await;
    for (method, call) in [
        ("GET", "getSettings"),
        ("PUT", "updateSettings"),
        ("POST", "tokenRequestPreview"),
        ("POST", "tokenSet"),
        ("GET", "claims?token=x"),
        ("POST", "claims"),
        ("POST", "introspect"),
        ("POST", "refreshToken"),
        ("POST", "revokeToken"),
        ("POST", "callResource"),
        ("POST", "auth/out"),
        ("POST", "account/changePassword"),
        ("POST", "account/beginSecondFactor"),
        ("POST", "account/confirmSecondFactor"),
        ("POST", "account/removeSecondFactor"),
        ("GET", "account/sessions"),
        ("POST", "account/endSession"),
    ] {
        let answer = stranger.send(stranger.call(method, call).json(&json!({}))).await;
        assert_eq!(answer.fault(), (401, "sign_in_needed".to_owned()), "{call}: {answer}");
        let without_header = signed_in.request(method, &format!("/api/{call}")).json(&json!({}));
        assert!(is_xsrf(&signed_in.send(without_header).await), "{call}");
    }
    for call in ["auth/beginAuth", "auth/advanceAuth"] {
        let answer = server.browser().post(call, json!({})).await;
        assert!(is_xsrf(&answer), "{call}: {answer}");
        let without_header = stranger.request("POST", &format!("/api/{call}")).json(&json!({}));
        assert!(is_xsrf(&stranger.send(without_header).await), "{call}");
    }
}

#[tokio::test]
async fn an_incomplete_pair_or_one_of_another_session_is_refused() {
    let server = TestServer::start().await;
    let browser = server.demo_browser().await;
    let pair = browser.cookies["XSRF-TOKEN"].clone();
    let header = |request: RequestBuilder, value: &str| request.header("x-xsrf-token", value);

    refused(&server, &browser, update(&browser), "no header").await;
    let mut without = browser.clone();
    without.cookies.remove("XSRF-TOKEN");
    refused(&server, &without, header(update(&without), &pair), "no cookie").await;
    refused(&server, &browser, header(update(&browser), "x"), "mismatch").await;
    refused(&server, &browser, header(header(update(&browser), &pair), &pair), "two headers").await;

    let other = server.demo_browser().await;
    let others = other.cookies["XSRF-TOKEN"].clone();
    refused(&server, &browser, header(update(&browser), &others), "another session's header").await;
    let mut tossed = browser.clone();
    tossed.cookies.insert("XSRF-TOKEN".to_owned(), others.clone());
    refused(&server, &tossed, header(update(&tossed), &others), "a cookie planted from another session").await;
    refused(&server, &tossed, header(update(&tossed), &pair), "a planted cookie with the right header").await;

    let mut anonymous = server.browser();
    anonymous.get("getUISettings").await;
    let early = anonymous.cookies["XSRF-TOKEN"].clone();
    anonymous.sign_in("demo", server.demo().password.expose()).await;
    anonymous.cookies.insert("XSRF-TOKEN".to_owned(), early.clone());
    refused(&server, &anonymous, header(update(&anonymous), &early), "a pair from before sign-in").await;

    let twice = format!("cs_session={}; XSRF-TOKEN={pair}; XSRF-TOKEN={pair}", browser.cookies["cs_session"]);
    let plain = server.browser();
    refused(&server, &plain, header(update(&plain), &pair).header("cookie", twice), "a duplicate cookie").await;
}

#[tokio::test]
async fn a_request_from_another_origin_is_refused_even_with_the_pair() {
    let server = TestServer::start().await;
    let browser = server.demo_browser().await;
    let with_pair = || update(&browser).header("x-xsrf-token", browser.cookies["XSRF-TOKEN"].as_str());
    for origin in [
        "null",
        "http://evil.example",
        "http://127.0.0.1:8081",
        "https://127.0.0.1:8080",
        "http://127.0.0.1:8080.evil.example",
        "",
    ] {
        refused(&server, &browser, with_pair().header("origin", origin), origin).await;
    }
    for site in ["cross-site", "same-site", "none"] {
        refused(&server, &browser, with_pair().header("sec-fetch-site", site), site).await;
    }
    let ours = with_pair().header("origin", "http://127.0.0.1:8080").header("sec-fetch-site", "same-origin");
    assert_eq!(browser.clone().send(ours).await.status, 200);
}

#[tokio::test]
async fn a_page_of_another_origin_gets_no_session() {
    let server = TestServer::start().await;
    let mut browser = server.browser();
    let request = browser.call("GET", "getUISettings").header("sec-fetch-site", "cross-site");
    assert!(is_xsrf(&browser.send(request).await));
    assert!(browser.cookies.is_empty());
    let answer = browser.get("getUISettings").await;
    assert!(
        !answer.headers.iter().any(|(name, _)| name.starts_with("access-control-")),
        "no CORS, least of all `null`"
    );
}

#[tokio::test]
async fn an_anonymous_session_is_created_once_is_kept_and_cannot_be_forged() {
    let server = TestServer::start().await;
    let mut browser = server.browser();
    let first = browser.get("getUISettings").await;
    assert_eq!(first.result()["oauthAppId"], "oauthclient");
    assert_eq!(first.result().as_object().unwrap().len(), 3, "never a secret");
    let cookies = browser.cookies.clone();
    browser.cookies.remove("XSRF-TOKEN");
    browser.get("getUISettings").await;
    assert_eq!(browser.cookies, cookies, "the same session with the same pair");
    let mut signed_in = server.demo_browser().await;
    let cookies = signed_in.cookies.clone();
    signed_in.get("getUISettings").await;
    assert_eq!(signed_in.cookies, cookies);

    let mut forged = browser.clone();
    let value = forged.cookies["cs_session"].clone();
    let later = value.replacen(&value.split('.').nth(2).unwrap().to_owned(), "99999999999", 1);
    forged.cookies.insert("cs_session".to_owned(), later);
    assert!(is_xsrf(&forged.post("auth/beginAuth", json!({ "User": "demo" })).await));
    server.advance(600).await;
    assert!(is_xsrf(&browser.post("auth/beginAuth", json!({ "User": "demo" })).await), "ten minutes");
}
