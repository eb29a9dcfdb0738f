//! Asks a restarted server whether everything acknowledged is there, and nothing was applied partially.

use countersign_testkit::{Answer, Browser};
use serde_json::{Value, json};

use super::book::{Book, Fact, Question, fits};
use super::caller::Shared;

/// The number of audit records per read.
const PAGE: usize = 1000;

/// Checks every question and the audit log. Returns the observed facts, and the number of the operator's records.
pub(super) async fn check(server: &Shared, book: &Book, cut: u64) -> (Vec<Fact>, usize) {
    let mut seen = Vec::new();
    for (question, right) in book.right_answers(cut) {
        match &question {
            Question::Refresh(token) => seen.extend(check_refresh(server, token, &right).await),
            _ => {
                let found = ask(server, &question).await;
                let fitting = right.iter().rev().find(|answer| fits(answer, &found));
                let fitting = fitting.unwrap_or_else(|| panic!("{question:?} is {found}, not one of {right:?}"));
                seen.push((question, fitting.clone()));
            }
        }
    }
    let verdict = administer(server, "/audit/verify").await.json();
    assert_eq!(verdict["intact"], true, "{verdict}");
    let records = count_records(server).await;
    let (fewest, most) = book.records(cut);
    assert!((fewest..=most).contains(&records), "{records} audit records, not {fewest} to {most}");
    (seen, records)
}

async fn ask(server: &Shared, question: &Question) -> Value {
    match question {
        Question::Shown(path) => {
            let answer = administer(server, path).await;
            if answer.status == 404 { Value::Null } else { json_of(&answer) }
        }
        Question::Secret { client, secret } => {
            let form = [("client_id", client.as_str()), ("client_secret", secret), ("token", "x")];
            let answer = server.operator.send(server.operator.request("POST", "/oauth2/introspect").form(&form)).await;
            // After many wrong passwords, another one gets a 429.
            assert!([200, 401, 429].contains(&answer.status), "{answer}");
            Value::Bool(answer.status == 200)
        }
        Question::Password { login, password } => {
            let answer = server.service.password(login, password).await;
            assert!([200, 400].contains(&answer.status), "{answer}");
            Value::Bool(answer.status == 200)
        }
        Question::Token(token) | Question::Refresh(token) => {
            json_of(&server.service.introspect(token).await)["active"].clone()
        }
        Question::Session { cookies, .. } => {
            let mut browser = Browser::new(server.operator.clone());
            browser.cookies = cookies.clone();
            let answer = browser.get("account/sessions").await;
            assert!([200, 401].contains(&answer.status), "{answer}");
            Value::Bool(answer.status == 200)
        }
        Question::Settings => json_of(&server.browser.clone().get("getSettings").await)["Result"].clone(),
        Question::Key(id) => {
            let published = json_of(&server.operator.get("/oauth2/jwks").await);
            Value::Bool(published["keys"].as_array().unwrap().iter().any(|key| key["kid"] == id.as_str()))
        }
        Question::Code { login, password, code } => {
            let mut browser = Browser::new(server.operator.clone());
            let asked = browser.sign_in(login, password).await;
            let is_asked = asked.status == 200 && asked.json()["Result"]["Summary"] == "StartNextChallenge";
            Value::Bool(is_asked && browser.answer(&asked, code).await.status == 200)
        }
    }
}

/// A token that may be unused must return its successor, and the same one again on a retry. A token that was used, or whose
/// family has ended, must return nothing.
async fn check_refresh(server: &Shared, token: &str, right: &[Value]) -> Vec<Fact> {
    let fact = |token: &str, state: &str| (Question::Refresh(token.to_owned()), Value::from(state));
    let is_active = ask(server, &Question::Refresh(token.to_owned())).await == true;
    let (may_be_fresh, may_be_ended) = (right.contains(&json!("fresh")), right.contains(&json!("ended")));
    assert!(may_be_fresh || !is_active, "a refresh token is active that must be one of {right:?}");
    assert!(is_active || right != [json!("fresh")], "a fresh refresh token is not active");
    if may_be_fresh && !may_be_ended {
        let (first, again) = (server.service.refresh(token).await, server.service.refresh(token).await);
        assert_eq!(first.status, 200, "a session is lost that must be one of {right:?}: {first}");
        assert_eq!(again.status, 200, "a retry returned something else: {again}");
        let successor = first.text("refresh_token");
        assert_eq!(successor, again.text("refresh_token"));
        return vec![fact(token, "spent"), fact(&successor, "fresh")];
    }
    if !may_be_fresh && right == [json!("ended")] {
        assert_eq!(server.service.refresh(token).await.refusal(), (400, "invalid_grant".to_owned()));
    }
    vec![fact(token, if is_active { "fresh" } else { "spent" })]
}

/// The number of the operator's audit records.
pub(super) async fn count_records(server: &Shared) -> usize {
    let (mut count, mut after) = (0, String::new());
    loop {
        let page = json_of(&administer(server, &format!("/audit?limit={PAGE}{after}")).await);
        count += page["items"].as_array().unwrap().iter().filter(|record| record["actor"] == "operator").count();
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return count,
        }
    }
}

async fn administer(server: &Shared, path: &str) -> Answer {
    server.operator.call("GET", &format!("/admin/v1{path}"), &server.token).await
}

fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()
}
