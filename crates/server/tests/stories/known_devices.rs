//! How devices stay known: a browser, also when several people share it, and a client.

use countersign_testkit::TestServer;
use serde_json::Value;

use crate::guessing::{ELSEWHERE, HERE, PASSWORD, Person, fail_ten_times, grant, is_blocked, server};

impl Person {
    /// Signs in with the correct password, in a new session, a minute after the previous time.
    async fn sign_in_again(&mut self, server: &TestServer, user: &str) {
        server.advance(60).await;
        self.browser.cookies.remove("cs_session");
        let answer = self.sign_in(user, PASSWORD).await;
        assert_eq!(answer.status, 200, "{user}: {answer}");
    }

    fn cookie(&self) -> String {
        self.browser.cookies["cs_device"].clone()
    }

    fn set_cookie(&mut self, cookie: &str) {
        self.browser.cookies.insert("cs_device".to_owned(), cookie.to_owned());
    }
}

async fn count_devices(server: &TestServer, user: &str) -> Value {
    server.operator().await.get(&format!("/users/{user}/failed-attempts")).await.json()["known_devices"].clone()
}

#[tokio::test]
async fn a_browser_that_signs_in_often_counts_once_and_evicts_no_other() {
    let server = server().await;
    let (mut rare, mut busy) = (Person::at(&server, HERE), Person::at(&server, HERE));
    rare.sign_in_again(&server, "ada").await;
    for _ in 0..25 {
        busy.sign_in_again(&server, "ada").await;
    }
    assert_eq!(count_devices(&server, "ada").await, 2);
    assert_eq!(busy.cookie().split('.').count(), 2, "the new ID and the previous one");
    fail_ten_times(&server, ELSEWHERE, "ada").await;
    rare.browser.cookies.remove("cs_session");
    assert_eq!(rare.sign_in("ada", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_browser_stays_known_if_responses_with_its_new_cookie_are_lost() {
    let server = server().await;
    let mut person = Person::at(&server, HERE);
    person.sign_in_again(&server, "ada").await;
    let first = person.cookie();
    for _ in 0..3 {
        person.sign_in_again(&server, "ada").await;
        person.set_cookie(&first);
    }
    assert_eq!(count_devices(&server, "ada").await, 1);
    fail_ten_times(&server, ELSEWHERE, "ada").await;
    person.browser.cookies.remove("cs_session");
    assert_eq!(person.sign_in("ada", PASSWORD).await.status, 200);
    person.sign_in_again(&server, "ada").await;
    person.set_cookie(&first);
    person.browser.cookies.remove("cs_session");
    assert_eq!(grant(&server, ELSEWHERE, "ada", "wrong").await.status, 400, "unknown devices must wait again");
    let old = person.sign_in("ada", PASSWORD).await;
    assert_eq!(old.fault(), (429, "too_many_attempts".to_owned()), "a cookie older than the previous one");
}

#[tokio::test]
async fn four_people_share_a_browser_and_each_stays_known() {
    let server = server().await;
    let others = ["bob", "eve", "kim"];
    for user in others {
        server.add_user(user, PASSWORD).await;
    }
    let mut browser = Person::at(&server, HERE);
    browser.sign_in_again(&server, "ada").await;
    browser.sign_in_again(&server, "ada").await;
    for user in others {
        for _ in 0..6 {
            browser.sign_in_again(&server, user).await;
        }
    }
    fail_ten_times(&server, ELSEWHERE, "ada").await;
    browser.browser.cookies.remove("cs_session");
    assert_eq!(browser.sign_in("ada", PASSWORD).await.status, 200);
    assert_eq!(browser.cookie().split('.').count(), 8);
}

#[tokio::test]
async fn a_client_at_many_addresses_stays_known_at_the_first() {
    let server = server().await;
    assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200);
    for number in 1..=25 {
        server.advance(1).await;
        assert_eq!(grant(&server, &format!("192.0.2.{number}"), "ada", PASSWORD).await.status, 200);
    }
    assert_eq!(count_devices(&server, "ada").await, 26);
    fail_ten_times(&server, ELSEWHERE, "ada").await;
    assert!(is_blocked(&grant(&server, ELSEWHERE, "ada", PASSWORD).await));
    assert_eq!(grant(&server, HERE, "ada", PASSWORD).await.status, 200);
}
