//! Rotating the sealing key keeps sessions, failure counts and known devices.

use countersign_testkit::TestServer;
use serde_json::json;

use crate::guessing::{ELSEWHERE, HERE, PASSWORD, fail_ten_times, grant, is_blocked, server};

#[tokio::test]
async fn sessions_one_time_codes_and_refresh_retries_survive_a_sealing_key_rotation() {
    let server = server().await;
    let mut ada = server.browser();
    assert_eq!(ada.sign_in("ada", PASSWORD).await.result()["Summary"], "LoginSuccess");
    let begun = ada.post("account/beginSecondFactor", json!({ "password": PASSWORD })).await.result();
    let seed = totp_rs::Secret::try_from_base32(begun["secret"].as_str().unwrap()).unwrap();
    let code = |server: &TestServer| {
        let totp = totp_rs::Builder::new().with_secret(seed.as_bytes()).build().unwrap();
        totp.generate(u64::try_from(server.state.now()).unwrap()).to_string()
    };
    let confirm = json!({ "enrolment": begun["enrolment"], "code": code(&server) });
    assert_eq!(ada.post("account/confirmSecondFactor", confirm).await.status, 200);
    let spent = server.demo_service().password("demo", server.demo().password.expose()).await.text("refresh_token");
    let successor = server.demo_service().refresh(&spent).await.text("refresh_token");

    let server = server.restart_with_new_sealing_key().await;
    let again = server.demo_service().refresh(&spent).await;
    assert_eq!(again.text("refresh_token"), successor, "the response was lost: {again}");
    let mut still = ada.at(server.stranger());
    assert_eq!(still.get("account/sessions").await.status, 200);
    let ended = still.post("account/removeSecondFactor", json!({ "password": "wrong", "code": "000000" })).await;
    assert_eq!(ended.fault(), (401, "wrong_answer".to_owned()), "its XSRF pair is valid: {ended}");

    let server = server.restart_with_new_sealing_key().await;
    server.advance(60).await;
    assert_eq!(ada.at(server.stranger()).get("account/sessions").await.status, 200, "two keys ago");
    let mut anew = server.browser();
    let package = anew.sign_in("ada", PASSWORD).await;
    assert_eq!(anew.answer(&package, &code(&server)).await.result()["Summary"], "LoginSuccess");
    let verified = server.operator().await.get("/audit/verify").await;
    assert_eq!(verified.json()["intact"], true, "{verified}");
}

#[tokio::test]
async fn failure_counts_and_known_devices_survive_a_sealing_key_rotation_for_thirty_days() {
    let server = server().await;
    assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200, "it becomes known");
    let mut ada = server.browser();
    assert_eq!(ada.sign_in("ada", PASSWORD).await.result()["Summary"], "LoginSuccess");
    fail_ten_times(&server, ELSEWHERE, "Ada").await;

    let server = server.restart_with_new_sealing_key().await;
    assert!(is_blocked(&grant(&server, ELSEWHERE, "ada", PASSWORD).await), "as before");
    assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200);
    let mut ada = ada.at(server.stranger());
    ada.cookies.remove("cs_session");
    assert_eq!(ada.sign_in("ada", PASSWORD).await.result()["Summary"], "LoginSuccess");

    // Devices that succeeded since then are known by the new key, and outlive the old key's MAC keys.
    server.advance(29 * 86_400).await;
    for _ in 0..2 {
        assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200);
        server.advance(86_400).await;
    }
    assert_eq!(grant(&server, ELSEWHERE, "ada", "wrong").await.status, 400);
    assert!(is_blocked(&grant(&server, ELSEWHERE, "ada", PASSWORD).await));
    assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200);
    let verified = server.operator().await.get("/audit/verify").await;
    assert_eq!(verified.json()["intact"], true, "{verified}");
}
