//! A user visits the pages.

use countersign_testkit::{Answer, Browser, TestServer};
use serde_json::json;

const PAGES_FOR_A_PERSON: [&str; 4] = ["/protocols", "/m2m", "/settings", "/account"];

async fn go(browser: &mut Browser, path: &str) -> Answer {
    browser.send(browser.request("GET", path).header("accept", "text/html,*/*;q=0.8")).await
}

/// The URLs under `/static/` that a page refers to.
fn static_addresses(page: &str) -> Vec<String> {
    page.split('"').filter(|text| text.starts_with("/static/")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_visitor_sees_the_home_page_and_other_pages_lead_to_sign_in_and_back() {
    let server = TestServer::start().await;
    let mut browser = server.browser();
    let home = go(&mut browser, "/").await;
    assert_eq!(home.status, 200);
    assert!(home.body.contains("<h2 id=\"scenario-1\">Scenario 1</h2>") && home.body.contains(">Login</a>"), "{home}");
    assert!(home.body.contains("demo-service:$CLIENT_SECRET"), "{home}");
    for path in PAGES_FOR_A_PERSON {
        let answer = go(&mut browser, path).await;
        let sign_in = format!("/login?next={path}");
        assert_eq!((answer.status, answer.header("location")), (303, sign_in.as_str()));
        assert!(go(&mut browser, &sign_in).await.body.contains(&format!("data-next=\"{path}\"")));
    }
    let foreign = go(&mut browser, "/login?next=//evil.example").await;
    assert!(foreign.body.contains("data-next=\"/protocols\"") && !foreign.body.contains("evil"), "{foreign}");
}

#[tokio::test]
async fn every_page_has_the_strict_csp_is_not_cached_and_finds_all_its_files() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    for (path, status) in
        [("/", 200), ("/protocols", 200), ("/m2m", 200), ("/settings", 200), ("/account", 200), ("/no", 404)]
    {
        let page = go(&mut browser, path).await;
        assert_eq!(page.status, status, "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        assert!(!page.body.contains("style=") && !page.body.contains("<style") && !page.body.contains(" onclick"));
        let addresses = static_addresses(&page.body);
        assert!(addresses.len() >= 3, "{path}: {addresses:?}");
        for address in addresses {
            let file = go(&mut browser, &address).await;
            assert_eq!((file.status, file.header("cache-control")), (200, "public, max-age=31536000, immutable"));
        }
    }
}

#[tokio::test]
async fn all_files_of_the_machine_to_machine_page_are_under_120_kilobytes() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let page = go(&mut browser, "/m2m").await;
    let mut bytes = page.body.len();
    for address in static_addresses(&page.body) {
        bytes += go(&mut browser, &address).await.body.len();
    }
    assert!(bytes < 120_000, "{bytes} bytes");
}

#[tokio::test]
async fn the_machine_to_machine_page_offers_registered_apis_and_preselects_the_settings() {
    let server = TestServer::start().await;
    let page = go(&mut server.demo_browser().await, "/m2m").await.body;
    assert!(page.contains(">Client Creds</option>") && page.contains(">Resource Owner</option>"));
    assert!(page.contains("<option value=\"oauthclient\" selected"));
    assert!(page.contains("value=\"all\" checked") && page.contains("value=\"reports:read\">"));
    assert!(!page.contains("Settings are incomplete"));
    for secret in [&server.demo().password, &server.demo().client_secret] {
        assert!(!page.contains(secret.expose()));
    }
}

#[tokio::test]
async fn signed_in_users_skip_the_sign_in_page() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    for (asked, next) in
        [("/login", "/protocols"), ("/login?next=/m2m", "/m2m"), ("/login?next=https://x", "/protocols")]
    {
        let answer = go(&mut browser, asked).await;
        assert_eq!((answer.status, answer.header("location")), (303, next));
    }
}

#[tokio::test]
async fn an_unknown_path_returns_a_page_to_browsers_and_json_to_machines() {
    let server = TestServer::start().await;
    let mut browser = server.browser();
    let page = go(&mut browser, "/no<script>").await;
    assert_eq!((page.status, page.header("content-type")), (404, "text/html; charset=utf-8"));
    assert!(!page.body.contains("no<script>"));
    let answer = browser.send(browser.request("GET", "/no")).await;
    assert_eq!((answer.status, answer.text("error").as_str()), (404, "invalid_request"));
}

#[tokio::test]
async fn signed_in_users_continue_from_the_home_page_and_keep_the_navigation_on_a_404() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let home = go(&mut browser, "/").await.body;
    assert!(home.contains("href=\"/protocols\" aria-describedby=\"scenario-1\">Continue</a>"), "{home}");
    assert!(!home.contains(">Login</a>") && home.contains("signed in as <strong>demo</strong>"), "{home}");
    let nothing = go(&mut browser, "/nothing").await;
    assert!(nothing.status == 404 && nothing.body.contains("id=\"sign-out\""), "{nothing}");
    let words = "You are signed out. The last 100 tokens requested in this session have been revoked.";
    assert!(!go(&mut browser, "/?signed-out").await.body.contains(words), "the visitor stays signed in");
    assert_eq!(browser.post("auth/out", json!({})).await.status, 200);
    assert!(go(&mut browser, "/?signed-out").await.body.contains(words));
    assert!(!go(&mut browser, "/").await.body.contains(words));
    assert!(!go(&mut browser, "/nothing").await.body.contains("id=\"sign-out\""));
}

#[tokio::test]
async fn a_page_on_another_loopback_name_redirects_to_the_issuer() {
    let server = TestServer::start().await;
    let mut browser = server.browser();
    let asked = browser.request("GET", "/login?next=/m2m").header("host", "localhost:8080");
    let answer = browser.send(asked).await;
    assert_eq!((answer.status, answer.header("location")), (307, "http://127.0.0.1:8080/login?next=/m2m"));
}

#[tokio::test]
async fn other_users_are_told_that_settings_are_for_administrators() {
    let server = TestServer::start().await;
    server.add_user("ada", "correct horse").await;
    let mut browser = server.browser();
    assert_eq!(browser.sign_in("ada", "correct horse").await.status, 200);
    let page = go(&mut browser, "/settings").await;
    assert_eq!(page.status, 403);
    assert!(page.body.contains("Settings are for administrators") && !page.body.contains("demo-service"), "{page}");
    let theirs = go(&mut browser, "/m2m").await;
    assert_eq!(theirs.status, 200);
}
