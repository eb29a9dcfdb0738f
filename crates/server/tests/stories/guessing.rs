//! Failed passwords and one-time codes are counted, but the attempts of others lock nobody out.

use std::time::Duration;

use countersign_protocol::user::Role;
use countersign_store::NewPasswordFailure;
use countersign_testkit::{Answer, Browser, Options, TestServer};
use serde_json::{Value, json};
use tokio::task::JoinSet;

pub(crate) const PASSWORD: &str = "correct horse";
/// An address of the user, and one of a stranger.
pub(crate) const HERE: &str = "198.51.100.1";
pub(crate) const ELSEWHERE: &str = "203.0.113.5";

/// A server behind a proxy, so that requests can come from many addresses.
pub(crate) async fn server() -> TestServer {
    let trusted_proxies = vec!["127.0.0.0/8".to_owned()];
    let server = TestServer::start_with(Options { trusted_proxies, ..Options::default() }).await;
    server.add_user("ada", PASSWORD).await;
    server
}

/// Requests a token by the password grant from this address.
pub(crate) async fn grant(server: &TestServer, from: &str, user: &str, password: &str) -> Answer {
    let (demo, service) = (server.demo(), server.stranger());
    let form = [("grant_type", "password"), ("username", user), ("password", password)];
    let request =
        service.request("POST", "/oauth2/token").basic_auth(&demo.client_id, Some(demo.client_secret.expose()));
    service.send(request.header("x-forwarded-for", from).form(&form)).await
}

pub(crate) fn is_blocked(answer: &Answer) -> bool {
    let is_blocked = answer.refusal() == (429, "temporarily_unavailable".to_owned());
    assert_eq!(is_blocked, !answer.header("retry-after").is_empty());
    is_blocked
}

/// Fails as often as an unknown device may.
pub(crate) async fn fail_ten_times(server: &TestServer, from: &str, user: &str) {
    for _ in 0..10 {
        assert_eq!(grant(server, from, user, "wrong").await.status, 400);
    }
}

/// Stores failures of unknown devices without hashing, and waits until the delay is over.
pub(crate) async fn have_failed(server: &TestServer, user: &str, times: usize) {
    let store = &server.state.store;
    let user_id = store.find_password(user).await.unwrap().map(|stored| stored.user_id);
    let (name_mac, now) = (server.state.name_mac(user).as_bytes().to_vec(), server.state.now());
    let failure = NewPasswordFailure { name_mac, user_id, known_device: None, now, window_s: 0 };
    for _ in 0..times {
        store.add_password_failure(&failure).await.unwrap();
    }
    server.advance(900).await;
}

/// A browser with an address.
pub(crate) struct Person {
    pub(crate) browser: Browser,
    pub(crate) address: &'static str,
}

impl Person {
    pub(crate) fn at(server: &TestServer, address: &'static str) -> Self {
        Self { browser: server.browser(), address }
    }

    pub(crate) async fn post(&mut self, call: &str, body: Value) -> Answer {
        let request = self.browser.call("POST", call).header("x-forwarded-for", self.address).json(&body);
        self.browser.send(request).await
    }

    pub(crate) async fn sign_in(&mut self, user: &str, password: &str) -> Answer {
        self.browser.get("getUISettings").await;
        let package = self.post("auth/beginAuth", json!({ "User": user })).await.result();
        self.answer(&package, "UP", password).await
    }

    async fn answer(&mut self, package: &Value, mechanism: &str, answer: &str) -> Answer {
        let step = json!({
            "SessionId": package["SessionId"], "MechanismId": mechanism, "Action": "Answer", "Answer": answer,
        });
        self.post("auth/advanceAuth", step).await
    }
}

#[tokio::test]
async fn unknown_devices_wait_longer_after_each_failure_and_known_ones_do_not() {
    let server = server().await;
    assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200, "it becomes known");
    for name in ["ada", "ADA", "Ada", "aDa", "adA", "ada", "ada", "ada", "ada", "ada"] {
        assert_eq!(grant(&server, ELSEWHERE, name, "wrong").await.status, 400);
    }
    for wait_s in [60, 120, 240, 480, 900, 900] {
        let answer = grant(&server, "192.0.2.77", "ada", PASSWORD).await;
        assert!(is_blocked(&answer), "from any address: {answer}");
        assert_eq!(answer.header("retry-after"), wait_s.to_string());
        server.advance(wait_s - 1).await;
        assert!(is_blocked(&grant(&server, ELSEWHERE, "ada", PASSWORD).await), "{wait_s}");
        assert_eq!(grant(&server, HERE, "ada", "wrong").await.status, 400, "a known device does not wait");
        server.advance(1).await;
        assert_eq!(grant(&server, ELSEWHERE, "ada", "wrong").await.status, 400, "{wait_s}");
    }
    assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200);
    let still = grant(&server, ELSEWHERE, "ada", PASSWORD).await;
    assert!(is_blocked(&still), "a success of a known device does not help others: {still}");
    server.advance(900).await;
    assert_eq!(grant(&server, ELSEWHERE, "ada", PASSWORD).await.status, 200);
    fail_ten_times(&server, "192.0.2.78", "ada").await;
}

#[tokio::test]
async fn a_known_device_has_ten_attempts_and_stays_known_for_thirty_days() {
    let server = server().await;
    assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200);
    fail_ten_times(&server, ELSEWHERE, "ada").await;
    fail_ten_times(&server, HERE, "ada").await;
    assert!(is_blocked(&grant(&server, HERE, "ada", PASSWORD).await), "it now counts as unknown");
    server.advance(900).await;
    assert_eq!(grant(&server, ELSEWHERE, "ada", "wrong").await.status, 400);
    assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200, "known again");
    server.advance(30 * 86_400 - 1).await;
    assert_eq!(grant(&server, ELSEWHERE, "ada", "wrong").await.status, 400);
    assert_eq!(grant(&server, HERE, "ada", "wrong").await.status, 400, "still known");
    server.advance(1).await;
    assert!(is_blocked(&grant(&server, HERE, "ada", PASSWORD).await));
}

#[tokio::test]
async fn a_browser_is_known_by_its_cookie_at_any_address_until_the_password_changes() {
    let server = server().await;
    let mut here = Person::at(&server, HERE);
    assert_eq!(here.sign_in("ada", PASSWORD).await.status, 200);
    let cookie = here.browser.cookies["cs_device"].clone();
    let mut left = Person::at(&server, HERE);
    assert_eq!(left.sign_in("ada", PASSWORD).await.status, 200);
    fail_ten_times(&server, ELSEWHERE, "ada").await;
    here.address = "192.0.2.50";
    here.browser.cookies.remove("cs_session");
    assert_eq!(here.sign_in("ada", "wrong").await.fault(), (401, "wrong_answer".to_owned()));
    let mut stranger = Person::at(&server, HERE);
    assert_eq!(stranger.sign_in("ada", PASSWORD).await.fault(), (429, "too_many_attempts".to_owned()));
    let signed_in = here.sign_in("ada", PASSWORD).await;
    assert_eq!(signed_in.status, 200);
    let header = signed_in.headers.iter().find(|(name, value)| name == "set-cookie" && value.starts_with("cs_device="));
    let header = &header.unwrap().1;
    assert!(header.contains("; Path=/api; Max-Age=2592000; HttpOnly; SameSite=Strict"), "{header}");
    assert!(here.browser.cookies["cs_device"].ends_with(&format!(".{cookie}")), "a new ID precedes the previous ones");

    // After a password change, the user's browser stays known. A browser elsewhere does not.
    let change = json!({ "password": PASSWORD, "newPassword": "a longer password" });
    assert_eq!(here.post("account/changePassword", change).await.result(), Value::Null);
    fail_ten_times(&server, ELSEWHERE, "ada").await;
    left.browser.cookies.remove("cs_session");
    assert_eq!(left.sign_in("ada", "a longer password").await.fault(), (429, "too_many_attempts".to_owned()));
    here.browser.cookies.remove("cs_session");
    assert_eq!(here.sign_in("ada", "a longer password").await.status, 200);
}

#[tokio::test]
async fn after_a_hundred_failures_only_an_administrator_can_unlock_the_user() {
    let server = server().await;
    assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200);
    for name in ["ada", "nobody"] {
        have_failed(&server, name, 98).await;
        assert_eq!(grant(&server, ELSEWHERE, name, "wrong").await.status, 400);
    }
    let attempts = server.operator().await.get("/users/ada/failed-attempts").await.json();
    assert_eq!(
        (&attempts["failures"], &attempts["locked"], &attempts["known_devices"]),
        (&json!(99), &json!(false), &json!(1))
    );
    assert_eq!(grant(&server, HERE, "ada", "wrong").await.status, 400, "the hundredth, from a known device");
    server.advance(900).await;
    assert_eq!(grant(&server, ELSEWHERE, "nobody", "wrong").await.status, 400);
    server.advance(900).await;
    for (from, name) in [(HERE, "ada"), (ELSEWHERE, "ada"), (ELSEWHERE, "nobody")] {
        let locked = grant(&server, from, name, PASSWORD).await;
        assert!(is_blocked(&locked), "{locked}");
        assert!(locked.text("error_description").ends_with("an administrator can unlock it"), "{locked}");
    }
    let mut person = Person::at(&server, HERE);
    assert_eq!(person.sign_in("ada", PASSWORD).await.fault(), (429, "user_locked".to_owned()));
    let operator = server.operator().await;
    let attempts = operator.get("/users/ada/failed-attempts").await.json();
    assert_eq!((&attempts["failures"], &attempts["locked"]), (&json!(100), &json!(true)));
    let locks = operator.list("/audit").await.into_iter().filter(|record| record["action"] == "user.lock-out");
    assert_eq!(locks.count(), 1, "there is no record for a name without a user");

    assert_eq!(operator.delete("/users/ada/failed-attempts").await.status, 204);
    assert_eq!(grant(&server, ELSEWHERE, "ada", PASSWORD).await.status, 200);
    assert_eq!(operator.get("/users/ada/failed-attempts").await.json()["failures"], 0);
    let unlocked = operator.list("/audit").await.into_iter().find(|record| record["action"] == "user.unlock");
    assert_eq!(unlocked.unwrap()["before"]["failures"], 100);
    // Failures for a name from before it had a user do not count against the user.
    let new = json!({ "login": "nobody", "password": "a longer password" });
    assert_eq!(operator.post("/users", new).await.status, 201);
    assert_eq!(grant(&server, ELSEWHERE, "nobody", "a longer password").await.status, 200);
}

#[tokio::test]
async fn administrators_are_not_locked_out_of_known_browsers_even_shared_ones() {
    let server = server().await;
    let ada = server.state.store.find_password("ada").await.unwrap().unwrap().user_id;
    server.change(async |change| change.set_roles(&ada, &[Role::Administrator]).await.unwrap()).await;
    assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200);
    let mut browser = Person::at(&server, HERE);
    assert_eq!(browser.sign_in("ada", PASSWORD).await.status, 200);
    server.add_user("bob", PASSWORD).await;
    assert_eq!(browser.sign_in("bob", PASSWORD).await.status, 200);
    have_failed(&server, "ada", 99).await;
    assert_eq!(grant(&server, ELSEWHERE, "ada", "wrong").await.status, 400);
    assert!(
        is_blocked(&grant(&server, HERE, "ada", PASSWORD).await),
        "a client at an address does not prove an identity"
    );
    let mut unknown = Person::at(&server, HERE);
    assert_eq!(unknown.sign_in("ada", PASSWORD).await.fault(), (429, "user_locked".to_owned()));
    browser.browser.cookies.remove("cs_session");
    assert_eq!(browser.sign_in("ada", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn random_names_and_unfinished_sign_ins_lock_nobody_out() {
    let server = server().await;
    for number in 0..101 {
        assert_eq!(grant(&server, HERE, &format!("nobody-{number}"), "wrong").await.status, 400);
    }
    assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200);
    let mut person = Person::at(&server, HERE);
    person.browser.get("getUISettings").await;
    for _ in 0..400 {
        assert_eq!(person.post("auth/beginAuth", json!({ "User": "nobody" })).await.status, 200);
    }
    assert_eq!(person.sign_in("ada", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn concurrent_attempts_gain_nothing_and_unknown_names_count_like_known_ones() {
    let server = server().await;
    for user in ["ada", "nobody"] {
        let mut guesses = JoinSet::new();
        for _ in 0..20 {
            let (service, demo, user) = (server.stranger(), server.demo().clone(), user.to_owned());
            guesses.spawn(async move {
                let form = [("grant_type", "password"), ("username", &user), ("password", "wrong")];
                let request = service.request("POST", "/oauth2/token");
                let request = request.basic_auth(&demo.client_id, Some(demo.client_secret.expose()));
                service.send(request.header("x-forwarded-for", ELSEWHERE).form(&form)).await
            });
        }
        let answers = guesses.join_all().await;
        let wrong = answers.iter().filter(|answer| answer.status == 400).count();
        assert!((1..=10).contains(&wrong), "{user}: {wrong}");
        assert_eq!(answers.iter().filter(|answer| is_blocked(answer)).count(), 20 - wrong, "{user}");
    }
}

#[tokio::test]
async fn concurrent_attempts_of_a_known_device_stay_within_the_limits_too() {
    let server = server().await;
    assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200);
    let mut wrong = 0;
    for _ in 0..4 {
        wrong += guess_in_parallel(&server, 30).await;
    }
    assert_eq!(wrong, 20, "ten as a known device, then ten as an unknown one");
}

/// Sends wrong passwords concurrently from a known device. Returns how many were checked.
async fn guess_in_parallel(server: &TestServer, times: usize) -> usize {
    let guesses = (0..times).map(|_| grant(server, HERE, "ada", "wrong"));
    let answers = futures_util::future::join_all(guesses).await;
    answers.iter().filter(|answer| answer.status == 400).count()
}

#[tokio::test]
async fn an_attempt_counts_even_if_its_caller_disconnects() {
    let server = server().await;
    let operator = server.operator().await;
    for _ in 0..10 {
        let service = server.demo_service();
        let guess = tokio::spawn(async move { service.password("ada", "wrong").await });
        // Long enough that the password is being hashed, or already was.
        tokio::time::sleep(Duration::from_millis(20)).await;
        guess.abort();
        let _ = guess.await;
    }
    let failures = async || operator.get("/users/ada/failed-attempts").await.json()["failures"].as_i64().unwrap();
    let mut seen = 0;
    for _ in 0..200 {
        seen = failures().await;
        if seen > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(seen > 0);
}

#[tokio::test]
async fn a_password_stopped_by_a_second_factor_only_counts_as_failed_at_the_token_endpoint() {
    let server = server().await;
    let operator = server.operator().await;
    let mut here = Person::at(&server, HERE);
    assert_eq!(here.sign_in("ada", PASSWORD).await.status, 200);
    let begun = here.post("account/beginSecondFactor", json!({ "password": PASSWORD })).await.result();
    let seed = totp_rs::Secret::try_from_base32(begun["secret"].as_str().unwrap()).unwrap();
    let code = |at: i64| {
        let totp = totp_rs::Builder::new().with_secret(seed.as_bytes()).build().unwrap();
        totp.generate(u64::try_from(at).unwrap()).to_string()
    };
    let confirm = json!({ "enrolment": begun["enrolment"], "code": code(server.state.now()) });
    assert_eq!(here.post("account/confirmSecondFactor", confirm).await.result(), Value::Null);
    let failures = async || operator.get("/users/ada/failed-attempts").await.json()["failures"].as_i64().unwrap();
    for _ in 0..12 {
        let mut half = Person::at(&server, HERE);
        assert_eq!(half.sign_in("ada", PASSWORD).await.result()["Summary"], "StartNextChallenge");
    }
    assert_eq!(failures().await, 0);
    for password in [PASSWORD, "wrong"] {
        assert_eq!(grant(&server, ELSEWHERE, "ada", password).await.status, 400);
    }
    assert_eq!(failures().await, 2, "correct and wrong ones alike");
    // Everything was correct, so the failures are reset and the browser is known.
    server.advance(30).await;
    here.browser.cookies.remove("cs_session");
    let package = here.sign_in("ada", PASSWORD).await.result();
    assert_eq!(here.answer(&package, "OATH", &code(server.state.now())).await.status, 200);
    assert_eq!(failures().await, 0);
}

#[tokio::test]
async fn codes_are_limited_on_every_device_before_a_password_is_hashed() {
    let server = server().await;
    let mut here = Person::at(&server, HERE);
    assert_eq!(here.sign_in("ada", PASSWORD).await.status, 200);
    let begun = here.post("account/beginSecondFactor", json!({ "password": PASSWORD })).await.result();
    let seed = totp_rs::Secret::try_from_base32(begun["secret"].as_str().unwrap()).unwrap();
    let totp = totp_rs::Builder::new().with_secret(seed.as_bytes()).build().unwrap();
    let now = u64::try_from(server.state.now()).unwrap();
    let confirm = json!({ "enrolment": begun["enrolment"], "code": totp.generate(now).to_string() });
    assert_eq!(here.post("account/confirmSecondFactor", confirm).await.result(), Value::Null);
    let remove = json!({ "password": PASSWORD, "code": "000000" });
    for _ in 0..10 {
        assert_eq!(
            here.post("account/removeSecondFactor", remove.clone()).await.fault(),
            (401, "wrong_answer".to_owned())
        );
    }
    let blocked = (429, "too_many_attempts".to_owned());
    assert_eq!(here.post("account/removeSecondFactor", remove).await.fault(), blocked);
    let change = json!({ "password": "wrong", "newPassword": "a longer password", "code": "000000" });
    assert_eq!(here.post("account/changePassword", change).await.fault(), blocked);
    let package = here.sign_in("ada", PASSWORD).await.result();
    assert_eq!(here.answer(&package, "OATH", "000000").await.fault(), blocked);
    here.address = ELSEWHERE;
    assert_eq!(here.answer(&package, "OATH", "000000").await.fault(), (401, "wrong_answer".to_owned()));
}

#[tokio::test]
async fn a_password_that_is_too_long_is_refused_and_does_not_count() {
    let server = server().await;
    for _ in 0..12 {
        let answer = grant(&server, HERE, "ada", &"x".repeat(1025)).await;
        assert_eq!(answer.refusal(), (400, "invalid_grant".to_owned()));
    }
    assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_forwarded_address_is_only_trusted_from_a_trusted_proxy() {
    let server = TestServer::start().await;
    server.add_user("ada", PASSWORD).await;
    assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200);
    fail_ten_times(&server, ELSEWHERE, "ada").await;
    fail_ten_times(&server, "192.0.2.9", "ada").await;
    assert!(is_blocked(&grant(&server, HERE, "ada", PASSWORD).await), "they all count as one device");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn failures_count_across_nodes() {
    let first = server().await;
    let second = first.second_node().await;
    let ask = async |node: &TestServer, password| node.demo_service().password("ada", password).await.status;
    for _ in 0..5 {
        assert_eq!((ask(&first, "wrong").await, ask(&second, "wrong").await), (400, 400));
    }
    let operator = first.operator().await;
    assert_eq!(operator.get("/users/ada/failed-attempts").await.json()["failures"], 10);
    assert_eq!((ask(&first, PASSWORD).await, ask(&second, PASSWORD).await), (429, 429));
}
