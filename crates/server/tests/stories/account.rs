//! A user's own account: password, one-time codes, sessions.

use countersign_testkit::{Browser, TestServer};
use serde_json::{Value, json};

async fn ada(server: &TestServer) -> Browser {
    let mut browser = server.browser();
    assert_eq!(browser.sign_in("ada", "correct horse").await.status, 200);
    browser
}

#[tokio::test]
async fn changing_the_password_ends_every_other_session_and_token_and_keeps_this_browser_signed_in() {
    let server = TestServer::start().await;
    server.add_user("ada", "correct horse").await;
    let (mut here, mut there) = (ada(&server).await, ada(&server).await);
    let own = there.token_set().await["access_token"].as_str().unwrap().to_owned();
    let theirs = server.demo_service().password("ada", "correct horse").await;
    let before = here.clone();
    let change = |password: &str, new: &str| json!({ "password": password, "newPassword": new });

    for (body, expected) in [
        (change("wrong", "a longer password"), (401, "wrong_answer")),
        (change("correct horse", "short"), (400, "bad_request")),
        (change("correct horse", &"x".repeat(129)), (400, "bad_request")),
        (change("correct horse", "correct horse"), (400, "bad_request")),
        (change("correct horse", "a\0b\0c\0d\0e\0f\0g"), (400, "bad_request")),
    ] {
        let answer = here.post("account/changePassword", body).await;
        assert_eq!(answer.fault(), (expected.0, expected.1.to_owned()), "{answer}");
    }
    let changed = here.post("account/changePassword", change("correct horse", "a longer password")).await;
    assert_eq!(changed.result(), Value::Null);
    assert_eq!(here.get("account/sessions").await.result().as_array().unwrap().len(), 1);
    for mut old in [there, before] {
        assert_eq!(old.get("account/sessions").await.fault(), (401, "sign_in_needed".to_owned()));
    }
    let service = server.demo_service();
    assert_eq!(service.introspect(&own).await.json()["active"], false);
    assert_eq!(service.introspect(&theirs.text("access_token")).await.json()["active"], false);
    assert_eq!(service.password("ada", "correct horse").await.status, 400);
    assert_eq!(service.password("ada", "a longer password").await.status, 200);
}

#[tokio::test]
async fn of_concurrent_password_changes_one_succeeds_and_sets_the_password() {
    let server = TestServer::start().await;
    server.add_user("ada", "correct horse").await;
    let mut browsers = Vec::new();
    for number in 0..4 {
        browsers.push((number, ada(&server).await));
    }
    let mut changing = tokio::task::JoinSet::new();
    for (number, mut browser) in browsers {
        changing.spawn(async move {
            let new = format!("a longer password {number}");
            let change = json!({ "password": "correct horse", "newPassword": new });
            (browser.post("account/changePassword", change).await, new)
        });
    }
    let (changed, refused): (Vec<_>, Vec<_>) =
        changing.join_all().await.into_iter().partition(|(answer, _)| answer.status == 200);
    assert_eq!((changed.len(), refused.len()), (1, 3));
    for (answer, _) in refused {
        assert!(["wrong_answer", "sign_in_needed"].contains(&answer.fault().1.as_str()), "{answer}");
    }
    assert_eq!(server.browser().sign_in("ada", &changed[0].1).await.status, 200);
}

#[tokio::test]
async fn a_session_that_begins_during_a_password_change_leaves_no_valid_token() {
    let server = TestServer::start().await;
    server.add_user("ada", "correct horse").await;
    let mut here = ada(&server).await;
    let mut others = Vec::new();
    for _ in 0..8 {
        others.push((server.browser(), ada(&server).await));
    }
    let mut asking = tokio::task::JoinSet::new();
    for (mut fresh, mut signed_in) in others {
        asking.spawn(async move {
            let ask = json!({ "authFlow": "OAUTH", "grantType": "client_credentials" });
            let mut answers = vec![signed_in.post("tokenSet", ask.clone()).await];
            if fresh.sign_in("ada", "correct horse").await.status == 200 {
                answers.push(fresh.post("tokenSet", ask).await);
            }
            answers
        });
    }
    let change = json!({ "password": "correct horse", "newPassword": "a longer password" });
    assert_eq!(here.post("account/changePassword", change).await.result(), Value::Null);
    let service = server.demo_service();
    for answer in asking.join_all().await.into_iter().flatten().filter(|answer| answer.status == 200) {
        let token = answer.result()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(service.introspect(&token).await.json()["active"], false);
    }
}

#[tokio::test]
async fn recreating_the_demo_revokes_the_tokens_of_its_sessions() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let token = browser.token_set().await["access_token"].as_str().unwrap().to_owned();
    std::fs::remove_file(server.directory().join("demo.json")).unwrap();
    let server = server.restart().await;
    assert_eq!(server.demo_service().introspect(&token).await.json()["active"], false);
}

#[tokio::test]
async fn enrolling_one_time_codes_takes_a_code_and_removing_them_password_and_code() {
    let server = TestServer::start().await;
    server.add_user("ada", "correct horse").await;
    let mut browser = ada(&server).await;
    let begin = |password: &str| json!({ "password": password });
    let wrong = browser.post("account/beginSecondFactor", begin("wrong")).await;
    assert_eq!(wrong.fault(), (401, "wrong_answer".to_owned()));
    let begun = browser.post("account/beginSecondFactor", begin("correct horse")).await.result();
    let uri = begun["uri"].as_str().unwrap();
    assert!(
        uri.starts_with("otpauth://totp/127.0.0.1%208080:ada?") && uri.contains(begun["secret"].as_str().unwrap()),
        "{uri}"
    );
    assert!(begun["qr"]["size"].as_u64().unwrap() > 20 && begun["qr"]["path"].as_str().unwrap().starts_with('M'));

    let seed = totp_rs::Secret::try_from_base32(begun["secret"].as_str().unwrap()).unwrap();
    let code = |at: i64| {
        let totp = totp_rs::Builder::new().with_secret(seed.as_bytes()).build().unwrap();
        totp.generate(u64::try_from(at).unwrap()).to_string()
    };
    let confirm = |code: &str| json!({ "enrolment": begun["enrolment"], "code": code });
    let now = server.state.now();
    assert_eq!(
        browser.post("account/confirmSecondFactor", confirm("000000")).await.fault(),
        (401, "wrong_answer".to_owned())
    );
    let mut other = ada(&server).await;
    let stolen = other.post("account/confirmSecondFactor", confirm(&code(now))).await;
    assert_eq!(stolen.fault(), (400, "bad_request".to_owned()), "an enrolment belongs to one session");
    // With a space between two groups of digits, as apps show it.
    let grouped = |code: String| format!(" {} {} ", &code[..3], &code[3..]);
    let confirmed = browser.post("account/confirmSecondFactor", confirm(&grouped(code(now)))).await;
    assert_eq!(confirmed.result(), Value::Null);
    let again = browser.post("account/confirmSecondFactor", confirm(&code(now))).await;
    assert_eq!(again.fault(), (400, "bad_request".to_owned()));
    let again = browser.post("account/beginSecondFactor", begin("correct horse")).await;
    assert_eq!(again.fault(), (400, "bad_request".to_owned()));

    let remove = |password: &str, code: String| json!({ "password": password, "code": code });
    let spent = browser.post("account/removeSecondFactor", remove("correct horse", code(now))).await;
    assert_eq!(spent.fault(), (401, "wrong_answer".to_owned()), "the code of the enrolment is spent");
    server.advance(30).await;
    let wrong = browser.post("account/removeSecondFactor", remove("wrong", code(now + 30))).await;
    assert_eq!(wrong.fault(), (401, "wrong_answer".to_owned()));
    assert_eq!(
        wrong.text("ErrorMessage"),
        spent.text("ErrorMessage"),
        "the response confirms neither the password nor the code"
    );
    let removed = browser.post("account/removeSecondFactor", remove("correct horse", grouped(code(now + 30)))).await;
    assert_eq!(removed.result(), Value::Null);
    let none = browser.post("account/removeSecondFactor", remove("correct horse", code(now + 30))).await;
    assert_eq!(none.fault(), (400, "bad_request".to_owned()));
    assert_eq!(ada(&server).await.get("account/sessions").await.status, 200);
    let revived = browser.post("account/confirmSecondFactor", confirm(&code(now + 30))).await;
    assert_eq!(revived.fault(), (400, "bad_request".to_owned()), "a removed seed cannot be enrolled again");
    let begun = browser.post("account/beginSecondFactor", begin("correct horse")).await.result();
    server.advance(601).await;
    let late = json!({ "enrolment": begun["enrolment"], "code": "000000" });
    let late = browser.post("account/confirmSecondFactor", late).await;
    assert_eq!(late.fault(), (400, "bad_request".to_owned()), "an enrolment expires");
}

#[tokio::test]
async fn users_can_list_and_end_only_their_own_sessions() {
    let server = TestServer::start().await;
    server.add_user("ada", "correct horse").await;
    let (mut here, mut there, mut demo) = (ada(&server).await, ada(&server).await, server.demo_browser().await);
    let token = there.token_set().await["access_token"].as_str().unwrap().to_owned();
    let sessions = here.get("account/sessions").await.result();
    let sessions = sessions.as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let current = sessions.iter().find(|session| session["current"] == true).unwrap();
    assert_eq!(current["address"], "127.0.0.1");
    let other = sessions.iter().find(|session| session["current"] == false).unwrap();
    let foreign = demo.post("account/endSession", json!({ "session": other["id"] })).await;
    assert_eq!(foreign.fault(), (400, "bad_request".to_owned()));
    assert_eq!(here.post("account/endSession", json!({ "session": other["id"] })).await.result(), Value::Null);
    assert_eq!(there.get("account/sessions").await.fault(), (401, "sign_in_needed".to_owned()));
    assert_eq!(server.demo_service().introspect(&token).await.json()["active"], false);
    let again = here.post("account/endSession", json!({ "session": other["id"] })).await;
    assert_eq!(again.fault(), (400, "bad_request".to_owned()));
    assert_eq!(demo.get("account/sessions").await.result().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_password_chosen_by_the_demo_user_survives_a_restart_and_is_not_written_to_disk() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let change = json!({ "password": server.demo().password.expose(), "newPassword": "a longer password" });
    assert_eq!(browser.post("account/changePassword", change).await.result(), Value::Null);
    let secret = server.demo().client_secret.expose().to_owned();
    let server = server.restart().await;
    assert_eq!((server.demo().password.expose(), server.demo().client_secret.expose()), ("", secret.as_str()));
    let written = std::fs::read_to_string(server.directory().join("demo.json")).unwrap();
    assert!(!written.contains("a longer password"));
    assert_eq!(server.browser().sign_in("demo", "a longer password").await.status, 200);
}
