//! What protects people: a second factor is proved again, common passwords are refused, what they typed is not kept, and
//! the audit log has their sign-ins, their lock-outs, and the changes of their accounts.

use countersign_testkit::{Browser, TestServer};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse";
const NEW: &str = "a longer password";

/// Ada, signed in at a server of her own.
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
    /// Enrols the app for who is signed in.
    async fn enrol(server: &TestServer, browser: &mut Browser) -> Self {
        let begun = browser.post("account/beginSecondFactor", json!({ "password": PASSWORD })).await.result();
        let app =
            Self(totp_rs::Secret::try_from_base32(begun["secret"].as_str().unwrap()).unwrap().as_bytes().to_vec());
        let confirm = json!({ "enrolment": begun["enrolment"], "code": app.code(server) });
        assert_eq!(browser.post("account/confirmSecondFactor", confirm).await.result(), Value::Null);
        app
    }

    /// The code of now.
    fn code(&self, server: &TestServer) -> String {
        let totp = totp_rs::Builder::new().with_secret(self.0.as_slice()).build().unwrap();
        totp.generate(u64::try_from(server.state.now()).unwrap()).to_string()
    }
}

#[tokio::test]
async fn a_second_factor_is_proved_again_to_change_the_password() {
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
    assert_eq!(spent.fault(), (401, "wrong_answer".to_owned()), "the code that enrolled is spent");
    server.advance(30).await;
    let wrong = here.post("account/changePassword", change("wrong", Some(&app.code(&server)))).await;
    assert_eq!(wrong.text("ErrorMessage"), spent.text("ErrorMessage"), "neither is confirmed");
    let changed = here.post("account/changePassword", change(PASSWORD, Some(&app.code(&server)))).await;
    assert_eq!(changed.result(), Value::Null);
    let again = json!({ "password": NEW, "newPassword": "yet another password", "code": app.code(&server) });
    assert_eq!(here.post("account/changePassword", again).await.fault(), (401, "wrong_answer".to_owned()), "spent");
}

#[tokio::test]
async fn enrolling_a_second_factor_ends_the_other_sessions_and_what_they_asked() {
    let (server, mut here) = story().await;
    let mut there = sign_in(&server).await;
    let token = there.token_set().await["access_token"].as_str().unwrap().to_owned();
    let mut half_way = server.browser();
    let package = half_way.begin_auth("ada").await;
    App::enrol(&server, &mut here).await;
    assert_eq!(there.get("account/sessions").await.fault(), (401, "sign_in_needed".to_owned()));
    assert_eq!(server.demo_service().introspect(&token).await.json()["active"], false);
    assert_eq!(half_way.answer(&package, PASSWORD).await.fault(), (400, "bad_request".to_owned()), "begin again");
    assert_eq!(here.get("account/sessions").await.result().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_easily_guessed_password_is_refused_wherever_one_is_chosen() {
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
async fn what_was_typed_as_a_user_name_is_not_kept_in_clear() {
    let (server, _) = story().await;
    let typed = "my-secret-typed-into-the-wrong-field";
    let mut browser = server.browser();
    let package = browser.begin_auth(typed).await;
    let key = countersign_protocol::secret::Secret::new(package.result()["SessionId"].as_str().unwrap()).hash();
    let stored = server.state.store.find_sign_in(&key).await.unwrap().unwrap();
    assert!(!format!("{stored:?}").contains(typed) && stored.user_id.is_none());
    assert_eq!(
        stored.name_mac,
        server.state.name_mac(&typed.to_uppercase()),
        "failures are counted under one spelling"
    );
    server.state.store.close().await;
    for file in std::fs::read_dir(server.directory()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(typed.len()).any(|window| window == typed.as_bytes()));
    }
}

#[tokio::test]
async fn sign_ins_lock_outs_and_changes_of_an_account_are_audited_and_only_the_changes_load_the_registry_again() {
    let (server, mut here) = story().await;
    let ada = server.state.store.find_password("ada").await.unwrap().unwrap().user_id.to_string();
    let registry_change = async || server.state.store.read_counters().await.unwrap().registry_change;
    let before = registry_change().await;
    sign_in(&server).await;
    let mut guessing = server.browser();
    for name in ["ada", "nobody at all"] {
        for _ in 0..12 {
            guessing.sign_in(name, "wrong").await;
        }
    }
    assert_eq!(registry_change().await, before);
    server.advance(901).await;
    let app = App::enrol(&server, &mut here).await;
    server.advance(30).await;
    let remove = json!({ "password": PASSWORD, "code": app.code(&server) });
    assert_eq!(here.post("account/removeSecondFactor", remove).await.result(), Value::Null);
    let change = json!({ "password": PASSWORD, "newPassword": NEW });
    assert_eq!(here.post("account/changePassword", change).await.result(), Value::Null);
    assert!(registry_change().await > before);

    let operator = server.operator().await;
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
        ("user.enrol-second-factor", &ada),
        ("user.remove-second-factor", &ada),
        ("user.change-password", &ada),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(action, actor)| ((*action).to_owned(), (*actor).to_owned(), "127.0.0.1".to_owned()))
        .collect();
    assert_eq!(of_ada, expected);
    assert!(!json!(records).to_string().contains("nobody at all"), "no text of a name that nobody has");
    assert_eq!(operator.get("/audit/verify").await.json()["intact"], true);
}
