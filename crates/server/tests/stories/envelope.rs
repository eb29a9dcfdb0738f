//! One envelope for every result under `/api`, with the right status and a stable code.

use countersign_testkit::TestServer;
use serde_json::{Value, json};

#[tokio::test]
async fn each_failure_has_its_own_status_and_code_unlike_in_the_original() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    for (method, path, expected) in [
        ("GET", "nothing", (404, "not_found")),
        ("POST", "", (404, "not_found")),
        ("GET", "auth/nothing", (404, "not_found")),
        ("GET", "tokenSet", (405, "wrong_method")),
        ("DELETE", "getSettings", (405, "wrong_method")),
        ("POST", "updateSettings", (405, "wrong_method")),
    ] {
        let answer = browser.send(browser.call(method, path)).await;
        assert_eq!(answer.fault(), (expected.0, expected.1.to_owned()), "{method} {path}");
    }
    assert_eq!(browser.send(browser.request("GET", "/api")).await.fault().0, 404);
    assert_eq!(browser.send(browser.request("GET", "/api/%00x")).await.fault().0, 404);

    let large = browser.call("POST", "introspect").json(&json!({ "token": "x".repeat(70_000) }));
    assert_eq!(browser.send(large).await.fault(), (413, "too_large".to_owned()));
    let form = browser.call("POST", "introspect").form(&[("token", "x")]);
    assert_eq!(browser.send(form).await.fault(), (415, "bad_request".to_owned()));
    let answer = browser.post("introspect", json!({ "token": "x", "more": 1 })).await;
    assert_eq!(answer.fault(), (400, "bad_request".to_owned()));
    assert!(answer.text("ErrorMessage").starts_with("more: "), "{answer}");
    assert_eq!((answer.header("cache-control"), answer.header("content-type")), ("no-store", "application/json"));
    assert!(!answer.header("x-request-id").is_empty());
    let answer = browser.post("introspect?token=x", json!({ "token": "x" })).await;
    assert_eq!(answer.fault(), (400, "bad_request".to_owned()));
    assert!(answer.text("ErrorMessage").starts_with("the query: "), "{answer}");
}

#[tokio::test]
async fn calls_from_other_origins_are_refused_and_responses_cannot_be_sniffed() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    for path in ["/api/openapi.json", "/api/getUISettings", "/api/claims", "/api/nothing"] {
        for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
            let answer = stranger.send(stranger.request("GET", path).header(name, value)).await;
            assert_eq!((answer.status, answer.text("ErrorCode").as_str()), (403, "xsrf"), "{path} {name}");
        }
    }
    let token = server.demo_service().client_credentials("all").await.text("access_token");
    let mut answers = vec![stranger.call("GET", "/resource/whoami", &token).await];
    for path in ["/api/openapi.json", "/api/getUISettings", "/api/nothing", "/resource/whoami", "/static/x/style.css"] {
        answers.push(stranger.get(path).await);
    }
    for answer in answers {
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{answer}");
    }
}

#[tokio::test]
async fn without_a_registry_or_a_database_every_call_returns_503() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    server.advance_clock_alone(11);
    let answer = browser.get("getSettings").await;
    assert_eq!(answer.fault(), (503, "temporarily_unavailable".to_owned()));
    assert!(!answer.header("retry-after").is_empty());
    server.follow().await;
    assert_eq!(browser.get("getSettings").await.status, 200);
    server.state.store.close().await;
    assert_eq!(browser.get("getSettings").await.fault(), (503, "temporarily_unavailable".to_owned()));
    assert_eq!(browser.post("auth/out", json!({})).await.fault(), (503, "temporarily_unavailable".to_owned()));
}

#[tokio::test]
async fn the_openapi_document_lists_every_call_of_the_router_and_no_other() {
    let server = TestServer::start().await;
    let document = server.stranger().get("/api/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], "http://127.0.0.1:8080/api");
    let mut documented: Vec<String> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            documented.push(format!("{method} /api{path}"));
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert!(operation["responses"]["200"].is_object(), "{method} {path}");
        }
    }
    let mut routed: Vec<String> = Vec::new();
    for line in include_str!("../../../web/src/router.rs").lines() {
        let Some((path, rest)) = line.trim().strip_prefix(".route(\"/api/").and_then(|rest| rest.split_once('"'))
        else {
            continue;
        };
        for method in
            ["get", "post", "put", "patch", "delete"].into_iter().filter(|method| rest.contains(&format!("{method}(")))
        {
            routed.push(format!("{method} /api/{path}"));
        }
    }
    routed.retain(|call| call != "get /api/openapi.json");
    documented.sort();
    routed.sort();
    assert!(routed.len() > 15);
    assert_eq!(documented, routed);
}

#[tokio::test]
async fn the_examples_of_the_openapi_document_get_the_documented_responses() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let document = browser.get("openapi.json").await.json();
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let content = &operation["requestBody"]["content"]["application/json"];
            let Some(examples) = content["examples"].as_object() else { continue };
            for (name, example) in examples {
                let request = browser.call(&method.to_uppercase(), path.trim_start_matches('/'));
                let answer = browser.clone().send(request.json(&example["value"])).await;
                // An example contains no valid token or password, but the server must know all its fields.
                let message = answer.json()["ErrorMessage"].as_str().unwrap_or_default().to_owned();
                assert!(!message.contains("unknown field") && !message.contains("missing"), "{path} {name}: {answer}");
                assert_ne!(answer.json()["Success"], Value::Null, "{path} {name}");
                tried += 1;
            }
        }
    }
    assert!(tried > 5, "the document has only {tried} examples");
}
