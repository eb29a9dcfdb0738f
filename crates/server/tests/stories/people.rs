//! Protection of users: a second factor is required again for changes, common passwords are refused, typed names are not stored,
//! and sign-ins, lockouts and account changes are audited.

use countersign_testkit::{Browser, TestServer};
use serde_json::{Value, json};

use crate::guessing::have_failed;

const PASSWORD: &str = "correct horse";
const NEW: &str = "a longer password";

/// Ada, signed in on her own server.
async fn story() -> (TestServer, Browser) {
    let server = TestServer::start().await;
    server.add_user("ada", PASSWORD).await;
    let browser = sign_in(&server).await;
    (server, browser)
}

async fn sign_in(server: &TestServer) -> Browser {
    let mut browser = server.browser();
    let answer = browser.sign_in("ada", PASSWORD).await;
    assert_eq!(answer.json()["Result"]["Summary"], "LoginSuccess", "{answer}");
    browser
}

/// An authenticator app.
struct App(Vec<u8>);

impl App {
    /// Enrols the app for the signed-in user.
    async fn enrol(server: &TestServer, browser: &mut Browser) -> Self {
        let begun = browser.post("account/beginSecondFactor", json!({ "password": PASSWORD })).await.result();
        let app =
            Self(totp_rs::Secret::try_from_base32(begun["secret"].as_str().unwrap()).unwrap().as_bytes().to_vec());
        let confirm = json!({ "enrolment": begun["enrolment"], "code": app.code(server) });
        assert_eq!(browser.post("account/confirmSecondFactor", confirm).await.result(), Value::Null);
        app
    }

    /// The current code.
    fn code(&self, server: &TestServer) -> String {
        let totp = totp_rs::Builder::new().with_secret(self.0.as_slice()).build().unwrap();
        totp.generate(u64::try_from(server.state.now()).unwrap()).to_string()
    }
}

#[tokio::test]
async fn changing_the_password_requires_the_second_factor_again() {
    let (server, mut here) = story().await;
    let app = App::enrol(&server, &mut here).await;
    let change = |password: &str, code: Option<&str>| match code {
        Some(code) => json!({ "password": password, "newPassword": NEW, "code": code }),
        None => json!({ "password": password, "newPassword": NEW }),
    };
    let without = here.post("account/changePassword", change(PASSWORD, None)).await;
    assert_eq!(without.fault(), (400, "bad_request".to_owned()));
    assert!(without.text("ErrorMessage").starts_with("code: Required"), "{without}");
    let spent = here.post("account/changePassword", change(PASSWORD, Some(&app.code(&server)))).await;
    assert_eq!(spent.fault(), (401, "wrong_answer".to_owned()), "the code of the enrolment is spent");
    server.advance(30).await;
    let wrong = here.post("account/changePassword", change("wrong", Some(&app.code(&server)))).await;
    assert_eq!(wrong.text("ErrorMessage"), spent.text("ErrorMessage"), "the response confirms neither");
    let changed = here.post("account/changePassword", change(PASSWORD, Some(&app.code(&server)))).await;
    assert_eq!(changed.result(), Value::Null);
    let again = json!({ "password": NEW, "newPassword": "yet another password", "code": app.code(&server) });
    assert_eq!(here.post("account/changePassword", again).await.fault(), (401, "wrong_answer".to_owned()), "spent");
}

#[tokio::test]
async fn a_change_does_nothing_if_its_session_ends_while_it_waits() {
    let (server, mut owner) = story().await;
    let mut thief = sign_in(&server).await;
    let sessions = owner.get("account/sessions").await.result();
    let stolen = sessions.as_array().unwrap().iter().find(|one| one["current"] == false).unwrap()["id"].clone();
    let mut first = server.state.store.begin_change(server.state.now()).await.unwrap();
    let change = json!({ "password": PASSWORD, "newPassword": NEW });
    let waiting = tokio::spawn(async move { thief.post("account/changePassword", change).await });
    while server.state.is_change_free() {
        tokio::task::yield_now().await;
    }
    first.end_session(stolen.as_str().unwrap(), server.state.now()).await.unwrap();
    first.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap().fault(), (401, "sign_in_needed".to_owned()));
    assert_eq!(owner.get("account/sessions").await.status, 200);
    sign_in(&server).await;
}

#[tokio::test]
async fn a_change_requires_a_second_factor_that_was_enrolled_while_it_waited() {
    let (server, mut here) = story().await;
    let mut same_session = here.clone();
    let ada = server.state.store.find_password("ada").await.unwrap().unwrap().user_id;
    let mut first = server.state.store.begin_change(server.state.now()).await.unwrap();
    let change = json!({ "password": PASSWORD, "newPassword": NEW });
    let waiting = tokio::spawn(async move { same_session.post("account/changePassword", change).await });
    while server.state.is_change_free() {
        tokio::task::yield_now().await;
    }
    let new = countersign_store::NewSecondFactor {
        id: "f".to_owned(),
        user_id: ada,
        kind: "totp",
        sealed_seed: vec![0],
        created_at: 0,
        last_step: 0,
    };
    first.insert_second_factor(&new).await.unwrap();
    first.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap().fault(), (401, "wrong_answer".to_owned()));
    assert_eq!(here.get("account/sessions").await.status, 200, "nothing changed");
}

#[tokio::test]
async fn enrolling_a_second_factor_ends_other_sessions_and_tokens_from_the_password_alone() {
    let (server, mut here) = story().await;
    let owned = server.demo_service().password("ada", PASSWORD).await;
    let mut there = sign_in(&server).await;
    let token = there.token_set().await["access_token"].as_str().unwrap().to_owned();
    let mut half_way = server.browser();
    let package = half_way.begin_auth("ada").await;
    App::enrol(&server, &mut here).await;
    assert_eq!(there.get("account/sessions").await.fault(), (401, "sign_in_needed".to_owned()));
    assert_eq!(server.demo_service().introspect(&token).await.json()["active"], false);
    assert_eq!(half_way.answer(&package, PASSWORD).await.fault(), (400, "bad_request".to_owned()), "start over");
    assert_eq!(here.get("account/sessions").await.result().as_array().unwrap().len(), 1);
    let service = server.demo_service();
    assert_eq!(service.introspect(&owned.text("access_token")).await.json()["active"], false);
    let ada = server.state.store.find_password("ada").await.unwrap().unwrap().user_id;
    server.change(async |change| change.delete_second_factors(&ada).await.unwrap()).await;
    let revived = service.refresh(&owned.text("refresh_token")).await;
    assert_eq!(revived.refusal(), (400, "invalid_grant".to_owned()), "not even once the factor is gone");
}

#[tokio::test]
async fn a_guessable_password_is_refused_everywhere() {
    let (server, mut here) = story().await;
    let operator = server.operator().await;
    for common in ["password1234", "123456789012", "qwertyuiopas", "adaadaadaada"] {
        let change = json!({ "password": PASSWORD, "newPassword": common });
        let answer = here.post("account/changePassword", change).await;
        assert_eq!(answer.fault(), (400, "bad_request".to_owned()), "{common}");
        assert!(answer.text("ErrorMessage").starts_with("newPassword: is too easy to guess"), "{answer}");
        for answer in [
            operator.patch("/users/ada", json!({ "password": common })).await,
            operator.post("/users", json!({ "login": "bob", "password": common })).await,
        ] {
            assert_eq!(answer.problem(), (400, "invalid".to_owned(), "password".to_owned()), "{common}: {answer}");
        }
    }
    let change = json!({ "password": PASSWORD, "newPassword": NEW });
    assert_eq!(here.post("account/changePassword", change).await.result(), Value::Null);
}

#[tokio::test]
async fn confirming_an_enrolment_invalidates_earlier_ones() {
    let (server, mut here) = story().await;
    let begun = here.post("account/beginSecondFactor", json!({ "password": PASSWORD })).await.result();
    let app = App::enrol(&server, &mut here).await;
    server.advance(30).await;
    let remove = json!({ "password": PASSWORD, "code": app.code(&server) });
    assert_eq!(here.post("account/removeSecondFactor", remove).await.result(), Value::Null);
    let seed = totp_rs::Secret::try_from_base32(begun["secret"].as_str().unwrap()).unwrap();
    let confirm = json!({ "enrolment": begun["enrolment"], "code": App(seed.as_bytes().to_vec()).code(&server) });
    let stale = here.post("account/confirmSecondFactor", confirm).await;
    assert_eq!(stale.fault(), (400, "bad_request".to_owned()), "{stale}");
}

#[tokio::test]
async fn typed_user_names_are_not_stored_in_plain_text() {
    let (server, _) = story().await;
    let typed = "my-secret-typed-into-the-wrong-field";
    let mut browser = server.browser();
    assert_eq!(browser.sign_in(typed, "wrong").await.status, 401);
    let mac = server.state.name_mac(&typed.to_uppercase()).as_bytes().to_vec();
    let failures = server.state.store.find_password_failures(&mac).await.unwrap().failures;
    assert_eq!(failures, 1, "all spellings count as one");
    server.state.store.close().await;
    for file in std::fs::read_dir(server.directory()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(typed.len()).any(|window| window == typed.as_bytes()));
    }
}

#[tokio::test]
async fn sign_ins_lockouts_and_account_changes_are_audited_and_only_changes_reload_the_registry() {
    let (server, _) = story().await;
    let ada = server.state.store.find_password("ada").await.unwrap().unwrap().user_id.to_string();
    let registry_change = async || server.state.store.read_counters().await.unwrap().registry_change;
    let before = registry_change().await;
    sign_in(&server).await;
    for name in ["ada", "nobody at all"] {
        have_failed(&server, name, 99).await;
        assert_eq!(server.demo_service().password(name, "wrong").await.status, 400);
    }
    // It is recorded after the response.
    while server.state.store.find_last_audit_record().await.unwrap().unwrap().said.action != "user.lock-out" {
        tokio::task::yield_now().await;
    }
    assert_eq!(registry_change().await, before);
    let operator = server.operator().await;
    assert_eq!(operator.delete("/users/ada/failed-attempts").await.status, 204);
    let mut here = sign_in(&server).await;
    let app = App::enrol(&server, &mut here).await;
    server.advance(30).await;
    let remove = json!({ "password": PASSWORD, "code": app.code(&server) });
    assert_eq!(here.post("account/removeSecondFactor", remove).await.result(), Value::Null);
    let change = json!({ "password": PASSWORD, "newPassword": NEW });
    assert_eq!(here.post("account/changePassword", change).await.result(), Value::Null);
    assert!(registry_change().await > before);

    let records = operator.list("/audit").await;
    let said = |record: &Value| {
        let text = |member: &str| record[member].as_str().unwrap().to_owned();
        (text("action"), text("actor"), text("address"))
    };
    let of_ada: Vec<_> = records.iter().filter(|record| record["target"] == ada).map(said).collect();
    let expected = [
        ("user.sign-in", ada.as_str()),
        ("user.sign-in", &ada),
        ("user.lock-out", "unknown"),
        ("user.unlock", "operator"),
        ("user.sign-in", &ada),
        ("user.enrol-second-factor", &ada),
        ("user.remove-second-factor", &ada),
        ("user.change-password", &ada),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(action, actor)| ((*action).to_owned(), (*actor).to_owned(), "127.0.0.1".to_owned()))
        .collect();
    assert_eq!(of_ada, expected);
    let lock_outs = records.iter().filter(|record| record["action"] == "user.lock-out");
    assert_eq!(lock_outs.count(), 1, "there is no record for a name without a user");
    assert!(!json!(records).to_string().contains("nobody at all"), "no text of an unknown name is stored");
    assert_eq!(operator.get("/audit/verify").await.json()["intact"], true);
}
