//! Wrong client secrets are counted, but the attempts of others lock no client out.

use countersign_testkit::TestServer;
use serde_json::json;

use crate::guessing::{ELSEWHERE, HERE, is_blocked, server};

#[tokio::test]
async fn a_correct_secret_works_despite_failures_from_the_same_address() {
    let server = server().await;
    let operator = server.operator().await;
    let stranger = server.stranger();
    let ask = async |from: &str, client: &str, secret: &str| {
        let request = stranger.request("POST", "/oauth2/token").basic_auth(client, Some(secret));
        stranger.send(request.header("x-forwarded-for", from).form(&[("grant_type", "client_credentials")])).await
    };
    let secret = server.demo().client_secret.expose().to_owned();
    for client in ["demo-service", "nobody"] {
        for _ in 0..100 {
            assert_eq!(ask(ELSEWHERE, client, "wrong").await.status, 401);
        }
        let further = ask(ELSEWHERE, client, "wrong").await;
        assert!(is_blocked(&further), "{client}: {further}");
        assert_eq!(further.header("retry-after"), "900");
    }
    assert_eq!(ask(ELSEWHERE, "demo-service", &secret).await.status, 200);
    assert_eq!(ask(ELSEWHERE, "operator", "wrong").await.status, 401, "another client");
    assert_eq!(ask(HERE, "demo-service", "wrong").await.status, 401, "another address");
    for number in 0..100 {
        assert_eq!(ask(&format!("2001:db8::{number:x}"), "demo-service", "wrong").await.status, 401);
    }
    assert!(is_blocked(&ask("2001:db8::ffff:1:2:3", "demo-service", "wrong").await), "one /64 is one address");
    assert_eq!(ask("2001:db8:0:1::1", "demo-service", "wrong").await.status, 401, "another /64");

    // An imported secret may be guessable, so it must wait like a wrong one.
    let imported = "0123456789abcdef0123456789abcdef";
    let made = operator.post("/clients/demo-service/secrets", json!({ "import": imported })).await;
    assert_eq!(made.status, 201, "{made}");
    assert!(is_blocked(&ask(ELSEWHERE, "demo-service", imported).await));
    assert_eq!(ask(HERE, "demo-service", imported).await.status, 200);
    assert_eq!(ask(ELSEWHERE, "demo-service", &secret).await.status, 200, "its other secret");

    // The right secret of a disabled client does not count as a failure.
    assert_eq!(operator.patch("/clients/demo-service", json!({ "status": "disabled" })).await.status, 200);
    for _ in 0..101 {
        assert_eq!(ask("192.0.2.9", "demo-service", &secret).await.status, 401);
    }
    assert_eq!(operator.patch("/clients/demo-service", json!({ "status": "active" })).await.status, 200);

    server.advance(900).await;
    assert_eq!(ask(ELSEWHERE, "demo-service", "wrong").await.status, 401);
    assert_eq!(ask(ELSEWHERE, "demo-service", imported).await.status, 200);
}

#[tokio::test]
async fn failed_authentications_are_counted_by_reason() {
    let server = TestServer::start().await;
    let stranger = server.stranger();
    for (client, secret) in [("demo-service", "wrong"), ("nobody", "x"), ("demo-service", "cs_secret_typo")] {
        let request = stranger.request("POST", "/oauth2/token").basic_auth(client, Some(secret));
        stranger.send(request.form(&[("grant_type", "client_credentials")])).await;
    }
    server.demo_service().password("demo", "wrong").await;
    let metrics = stranger.get("/metrics").await.body;
    for line in [
        "countersign_client_authentication_failures_total{reason=\"wrong_secret\"} 1\n",
        "countersign_client_authentication_failures_total{reason=\"unknown_client\"} 1\n",
        "countersign_client_authentication_failures_total{reason=\"mistyped_secret\"} 1\n",
        "countersign_passwords_total{result=\"wrong\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}
