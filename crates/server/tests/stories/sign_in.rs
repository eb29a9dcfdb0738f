//! A user signs in, step by step, and out again.

use countersign_protocol::secret::Secret;
use countersign_protocol::status::Status;
use countersign_testkit::{Answer, Browser, START, TestServer, hash_password};
use serde_json::{Value, json};

const WRONG: (u16, &str) = (401, "wrong_answer");

fn fault(answer: &Answer) -> (u16, String) {
    answer.fault()
}

fn is(expected: (u16, &str)) -> (u16, String) {
    (expected.0, expected.1.to_owned())
}

/// Signs in, enrols a one-time code, and returns the seed.
async fn enrol(browser: &mut Browser, password: &str, code_at: i64) -> Vec<u8> {
    let begun = browser.post("account/beginSecondFactor", json!({ "password": password })).await.result();
    let seed = seed_of(begun["secret"].as_str().unwrap());
    let confirm = json!({ "enrolment": begun["enrolment"], "code": code(&seed, code_at) });
    assert_eq!(browser.post("account/confirmSecondFactor", confirm).await.result(), Value::Null);
    seed
}

fn seed_of(base32: &str) -> Vec<u8> {
    totp_rs::Secret::try_from_base32(base32).unwrap().as_bytes().to_vec()
}

fn code(seed: &[u8], at: i64) -> String {
    totp_rs::Builder::new().with_secret(seed).build().unwrap().generate(u64::try_from(at).unwrap()).to_string()
}

#[tokio::test]
async fn a_user_signs_in_by_name_and_password_and_the_session_id_changes() {
    let server = TestServer::start().await;
    let mut browser = server.browser();
    let package = browser.begin_auth("demo").await;
    let shown = package.result();
    assert_eq!(shown["Summary"], "NewPackage");
    assert_eq!(shown["TenantId"], "127.0.0.1:8080");
    let mechanism = &shown["Challenges"][0]["Mechanisms"][0];
    assert_eq!((&mechanism["Name"], &mechanism["AnswerType"]), (&json!("UP"), &json!("Text")));
    let before = browser.cookies.clone();
    let answer = browser.answer(&package, server.demo().password.expose()).await;
    let result = answer.result();
    assert_eq!((&result["Summary"], &result["User"]), (&json!("LoginSuccess"), &json!("demo")));
    assert!(result["UserId"].as_str().unwrap().starts_with("usr_"));
    assert_eq!(result["DisplayName"], "demo");
    assert_ne!(
        browser.cookies["cs_session"], before["cs_session"],
        "a session ID that survives a sign-in allows session fixation"
    );
    assert_ne!(browser.cookies["XSRF-TOKEN"], before["XSRF-TOKEN"]);
    let cookies: Vec<_> =
        answer.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value).collect();
    assert!(cookies[0].contains("HttpOnly") && cookies[0].contains("SameSite=Lax"), "{cookies:?}");
    assert!(!cookies[1].contains("HttpOnly"), "{cookies:?}");
    assert_eq!(browser.get("getSettings").await.status, 200);
}

#[tokio::test]
async fn an_unknown_user_gets_the_same_package_and_the_same_refusal_as_a_known_one() {
    let server = TestServer::start().await;
    let disabled = server.add_user("disabled", "correct horse").await;
    server.change(async |change| change.set_user_status(&disabled, Status::Disabled).await.unwrap()).await;
    server.add_user("ada", "correct horse").await;
    let mut seen = Vec::new();
    for (name, password) in
        [("ada", "wrong"), ("nobody", "wrong"), ("disabled", "correct horse"), ("demo-service", "x")]
    {
        let mut browser = server.browser();
        let package = browser.begin_auth(name).await;
        let answer = browser.answer(&package, password).await;
        assert_eq!(fault(&answer), is(WRONG), "{name}");
        let mut shape = package.json();
        shape["Result"]["SessionId"] = Value::Null;
        seen.push((shape.to_string(), answer.body));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[tokio::test]
async fn a_wrong_password_may_be_retried_but_not_forever() {
    let server = TestServer::start().await;
    server.add_user("ada", "correct horse").await;
    let mut browser = server.browser();
    let package = browser.begin_auth("ada").await;
    for _ in 0..9 {
        assert_eq!(fault(&browser.answer(&package, "wrong").await), is(WRONG));
    }
    assert_eq!(browser.answer(&package, "correct horse").await.result()["Summary"], "LoginSuccess");
    let mut other = server.browser();
    let package = other.begin_auth("ADA").await;
    for _ in 0..10 {
        assert_eq!(fault(&other.answer(&package, "wrong").await), is(WRONG));
    }
    let blocked = other.answer(&package, "correct horse").await;
    assert_eq!(fault(&blocked), is((429, "too_many_attempts")));
    assert_eq!(blocked.header("retry-after"), "60");
}

#[tokio::test]
async fn a_sign_in_belongs_to_the_browser_that_began_it_and_completes_once() {
    let server = TestServer::start().await;
    let password = server.demo().password.expose().to_owned();
    let mut browser = server.browser();
    let package = browser.begin_auth("demo").await;
    let over = is((400, "bad_request"));

    let mut other = server.browser();
    other.get("getUISettings").await;
    assert_eq!(fault(&other.answer(&package, &password).await), over, "started by another browser");

    let before = browser.cookies.clone();
    assert_eq!(browser.answer(&package, &password).await.status, 200);
    browser.cookies = before;
    assert_eq!(fault(&browser.answer(&package, &password).await), over, "replayed");

    let package = browser.begin_auth("demo").await;
    let start_over = json!({ "SessionId": package.json()["Result"]["SessionId"], "Action": "StartOver" });
    let answer = browser.post("auth/advanceAuth", start_over).await;
    assert_eq!(answer.result(), json!({ "Summary": "StartOver" }));

    let package = browser.begin_auth("demo").await;
    server.advance(600).await;
    browser.get("getUISettings").await;
    assert_eq!(fault(&browser.answer(&package, &password).await), over, "late");
}

#[tokio::test]
async fn of_concurrent_answers_one_signs_in_and_the_others_must_start_over() {
    let server = TestServer::start().await;
    let mut browser = server.browser();
    let package = browser.begin_auth("demo").await;
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (mut browser, package) = (browser.clone(), package.clone());
        let password = server.demo().password.expose().to_owned();
        racing.spawn(async move { browser.answer(&package, &password).await });
    }
    let answers = racing.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1);
    for answer in lost {
        assert_eq!(fault(answer), is((400, "bad_request")), "{answer}");
    }
}

#[tokio::test]
async fn an_invalid_step_is_refused_with_the_field() {
    let server = TestServer::start().await;
    let mut browser = server.browser();
    let package = browser.begin_auth("demo").await.result();
    let session = &package["SessionId"];
    for (step, field) in [
        (json!({ "SessionId": session, "Action": "Answer", "MechanismId": "OATH", "Answer": "1" }), "MechanismId"),
        (json!({ "SessionId": session, "Action": "Answer", "Answer": "1" }), "MechanismId"),
        (json!({ "SessionId": session, "Action": "Answer", "MechanismId": "UP" }), "Answer"),
        (json!({ "SessionId": session, "Action": "Answer", "MechanismId": "UP", "Answer": "" }), "Answer"),
        (json!({ "SessionId": session, "Action": "Poll", "MechanismId": "UP" }), "Action"),
        (
            json!({ "SessionId": session, "TenantId": "x", "Action": "Answer", "MechanismId": "UP", "Answer": "1" }),
            "TenantId",
        ),
        (json!({ "SessionId": "x", "Action": "Answer", "MechanismId": "UP", "Answer": "1" }), "SessionId"),
        (json!({ "Action": "Answer" }), "SessionId"),
    ] {
        let answer = browser.post("auth/advanceAuth", step.clone()).await;
        assert_eq!(fault(&answer), is((400, "bad_request")), "{step}");
        assert!(answer.text("ErrorMessage").starts_with(&format!("{field}: ")), "{step}: {answer}");
    }
    for name in ["", "  ", "a\nb", &"x".repeat(101)] {
        let answer = browser.post("auth/beginAuth", json!({ "User": name })).await;
        assert_eq!(fault(&answer), is((400, "bad_request")), "{name:?}");
    }
}

#[tokio::test]
async fn a_one_time_code_is_required_once_enrolled_and_each_works_once() {
    let server = TestServer::start().await;
    server.add_user("ada", "correct horse").await;
    let mut browser = server.browser();
    assert_eq!(browser.sign_in("ada", "correct horse").await.status, 200);
    let now = server.state.now();
    let seed = enrol(&mut browser, "correct horse", now).await;

    // The code of the enrolment is spent.
    let mut other = server.browser();
    let next = other.sign_in("ada", "correct horse").await;
    assert_eq!(next.result()["Summary"], "StartNextChallenge");
    assert_eq!(next.json()["Result"]["Challenges"][0]["Mechanisms"][0]["Name"], "OATH");
    assert_eq!(fault(&other.get("getSettings").await), is((401, "sign_in_needed")), "the sign-in is not complete");
    assert_eq!(fault(&other.answer(&next, &code(&seed, now)).await), is(WRONG), "spent in the enrolment");
    assert_eq!(fault(&other.answer(&next, "").await), is((400, "bad_request")), "an empty post skips nothing");
    server.advance(30).await;
    let good = code(&seed, now + 30);
    assert_eq!(other.answer(&next, &good).await.result()["Summary"], "LoginSuccess");

    let mut third = server.browser();
    let next = third.sign_in("ada", "correct horse").await;
    assert_eq!(fault(&third.answer(&next, &good).await), is(WRONG), "accepted once");
    assert_eq!(fault(&third.answer(&next, &code(&seed, now)).await), is(WRONG), "an older one is never accepted");
    server.advance(30).await;
    assert_eq!(third.answer(&next, &code(&seed, now + 60)).await.status, 200);

    // The password grant cannot ask for a code, so it is refused.
    assert_eq!(
        server.demo_service().password("ada", "correct horse").await.refusal(),
        (400, "invalid_grant".to_owned())
    );
}

#[tokio::test]
async fn codes_cannot_be_guessed_and_a_correct_password_does_not_reset_the_count() {
    let server = TestServer::start().await;
    server.add_user("ada", "correct horse").await;
    let mut browser = server.browser();
    browser.sign_in("ada", "correct horse").await;
    enrol(&mut browser, "correct horse", server.state.now()).await;
    server.advance(60).await;
    let mut guessing = server.browser();
    for round in 0..10 {
        let next = guessing.sign_in("ada", "correct horse").await;
        assert_eq!(next.status, 200, "{round}: {next}");
        assert_eq!(fault(&guessing.answer(&next, "000000").await), is(WRONG));
    }
    let next = guessing.sign_in("ada", "correct horse").await;
    assert_eq!(fault(&guessing.answer(&next, "000000").await), is((429, "too_many_attempts")));
    let start_over = json!({ "SessionId": next.json()["Result"]["SessionId"], "Action": "StartOver" });
    assert_eq!(guessing.post("auth/advanceAuth", start_over.clone()).await.result(), json!({ "Summary": "StartOver" }));
    let over = is((400, "bad_request"));
    assert_eq!(fault(&guessing.post("auth/advanceAuth", start_over).await), over);
    assert_eq!(fault(&guessing.answer(&next, "000000").await), over, "its user has started over");
}

#[tokio::test]
async fn signing_out_revokes_the_sessions_tokens_unlike_in_the_original() {
    let server = TestServer::start().await;
    let (mut browser, service) = (server.demo_browser().await, server.demo_service());
    let own = browser.token_set().await["access_token"].as_str().unwrap().to_owned();
    let demo = server.demo();
    let ask = json!({
        "authFlow": "OAUTH", "grantType": "password", "userName": "demo", "password": demo.password.expose(),
    });
    let theirs = browser.post("tokenSet", ask).await.result();
    let refreshed = browser.post("refreshToken", json!({ "refresh_token": theirs["refresh_token"] })).await.result();
    let elsewhere = service.client_credentials("all").await.text("access_token");
    let alive = async |token: &Value| service.introspect(token.as_str().unwrap()).await.json()["active"] == true;
    let before = browser.clone();

    let answer = browser.post("auth/out", json!({})).await;
    assert_eq!(answer.result(), Value::Null);
    for token in [&own.clone().into(), &theirs["access_token"], &refreshed["access_token"], &refreshed["refresh_token"]]
    {
        assert!(!alive(token).await);
    }
    assert!(alive(&elsewhere.into()).await, "tokens not requested through the session stay valid");
    assert_eq!(service.call("GET", "/resource/whoami", &own).await.status, 401);
    assert_eq!(fault(&browser.post("tokenSet", json!({})).await), is((401, "sign_in_needed")));
    let mut stolen = before;
    assert_eq!(fault(&stolen.get("getSettings").await), is((401, "sign_in_needed")), "the old cookie no longer works");
    assert_eq!(browser.begin_auth("demo").await.status, 200, "the new pair works");
}

#[tokio::test]
async fn a_session_ends_by_age_idleness_or_with_its_user() {
    let server = TestServer::start().await;
    server.add_user("ada", "correct horse").await;
    let needed = is((401, "sign_in_needed"));
    let mut idle = server.demo_browser().await;
    let mut used = server.demo_browser().await;
    for _ in 0..16 {
        server.advance(1799).await;
        assert_eq!(used.get("getSettings").await.status, 200);
    }
    assert_eq!(fault(&idle.get("getSettings").await), needed);
    server.advance(100).await;
    assert_eq!(fault(&used.get("getSettings").await), needed, "eight hours");

    let mut ada = server.browser();
    assert_eq!(ada.sign_in("ada", "correct horse").await.status, 200);
    assert_eq!(ada.get("account/sessions").await.status, 200);
    let id = server.state.store.find_password("ada").await.unwrap().unwrap().user_id;
    server.change(async |change| change.set_user_status(&id, Status::Disabled).await.unwrap()).await;
    assert_eq!(fault(&ada.get("account/sessions").await), needed);
    server.change(async |change| change.set_user_status(&id, Status::Active).await.unwrap()).await;
    assert_eq!(fault(&ada.get("account/sessions").await), needed, "for good");
    assert_eq!(ada.sign_in("ada", "correct horse").await.status, 200);
    assert_eq!(ada.get("account/sessions").await.status, 200);
    server.change(async |change| change.set_password(&id, &hash_password("another horse"), START).await.unwrap()).await;
    assert_eq!(fault(&ada.get("account/sessions").await), needed);
}

#[tokio::test]
async fn a_password_that_changes_during_a_sign_in_ends_it() {
    let server = TestServer::start().await;
    let ada = server.add_user("ada", "correct horse").await;
    let mut browser = server.browser();
    let package = browser.begin_auth("ada").await;
    let hash: Secret = hash_password("another horse");
    server.change(async |change| change.set_password(&ada, &hash, START).await.unwrap()).await;
    assert_eq!(fault(&browser.answer(&package, "another horse").await), is((400, "bad_request")));
}

#[tokio::test]
async fn signing_in_again_ends_the_previous_session() {
    let server = TestServer::start().await;
    let mut browser = server.demo_browser().await;
    let before = browser.clone();
    let token = browser.token_set().await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(browser.sign_in("demo", server.demo().password.expose()).await.status, 200);
    let mut before = before;
    assert_eq!(fault(&before.get("getSettings").await), is((401, "sign_in_needed")));
    assert_eq!(server.demo_service().introspect(&token).await.json()["active"], false);
}
