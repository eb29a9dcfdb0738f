//! Actions of users on their own accounts: passwords, sessions and one-time codes.

use countersign_server::clock::Clock;
use countersign_testkit::{Answer, Browser};
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use super::book::{Fact, Question};
use super::caller::Shared;
use super::stories::{password, shown, token};

/// The cookie that outlives sessions, and changes within a session.
const DEVICE_COOKIE: &str = "cs_device";
/// The time step of one-time codes, and the longest duration of a story with three of them.
const STEP_S: i64 = 30;
const MARGIN_S: i64 = 10;

fn code_of(login: &str, password: &str, code: &str, works: bool) -> Fact {
    let [login, password, code] = [login, password, code].map(str::to_owned);
    (Question::Code { login, password, code }, works.into())
}

fn session(login: &str, browser: &Browser, is_signed_in: bool) -> Fact {
    let mut cookies = browser.cookies.clone();
    cookies.retain(|name, _| name != DEVICE_COOKIE);
    (Question::Session { login: login.to_owned(), cookies }, is_signed_in.into())
}

/// Users: their passwords, sessions and one-time codes, changed by an administrator and by themselves.
pub(super) async fn people(caller: &Shared) -> Option<()> {
    let login = caller.name("user");
    let user = format!("/users/{login}");
    let words = ["quartz-violin", "harbor-ninety", "walnut-eleven"].map(|word| format!("{word}-{login}"));
    let [first, second, third] = words.each_ref().map(String::as_str);
    let made = json!({ "login": login, "password": first, "roles": [] });
    caller.change("POST", &user, made, vec![password(&login, first, true)]).await?;
    let mut there = sign_in(caller, &login, first).await?;
    let sessions = caller.operator.request("GET", &format!("/admin/v1{user}/sessions")).bearer_auth(&caller.token);
    let sessions = caller.operator.try_send(sessions).await?.json();
    let id = sessions["items"][0]["id"].as_str().unwrap();
    let own = ask_for_token(caller, &mut there).await?;
    let mut here = sign_in(caller, &login, first).await?;
    let ended = vec![session(&login, &there, false), token(&own, false)];
    if caller.flip() {
        caller.administer("DELETE", &format!("{user}/sessions/{id}"), Value::Null, ended).await?;
    } else {
        caller.call(&mut here, "POST", "account/endSession", json!({ "session": id }), ended).await?;
    }
    let own = ask_for_token(caller, &mut here).await?;

    let change = json!({ "password": first, "newPassword": second });
    let changed = vec![
        password(&login, first, false),
        password(&login, second, true),
        token(&own, false),
        session(&login, &here, false),
    ];
    caller.call(&mut here, "POST", "account/changePassword", change, changed).await?;
    caller.know(session(&login, &here, true));

    enrol(caller, &mut here, &login, second, 0).await?;
    let removed = vec![password(&login, second, true), factor(caller, &user, false)];
    caller.administer("DELETE", &format!("{user}/second-factor"), Value::Null, removed).await?;

    let mut again = sign_in(caller, &login, second).await?;
    let own = ask_for_token(caller, &mut again).await?;
    let ended = vec![session(&login, &again, false), token(&own, false)];
    caller.call(&mut again, "POST", "auth/out", json!({}), ended).await?;
    let last = sign_in(caller, &login, second).await?;
    let set = vec![
        session(&login, &last, false),
        session(&login, &here, false),
        password(&login, second, false),
        password(&login, third, true),
    ];
    caller.change("PATCH", &user, json!({ "password": third, "roles": ["administrator"] }), set).await?;
    let last = sign_in(caller, &login, third).await?;
    caller.administer("POST", "/revocations", json!({ "user": login }), vec![session(&login, &last, false)]).await?;
    let off = vec![password(&login, third, false)];
    caller.change("PATCH", &user, json!({ "status": "disabled" }), off).await?;
    let on = vec![password(&login, third, true)];
    caller.change("PATCH", &user, json!({ "status": "active", "roles": [] }), on).await?;
    let gone = vec![password(&login, third, false)];
    caller.change("DELETE", &user, Value::Null, gone).await?;
    Some(())
}

/// A user with one-time codes, each of which works once: to enrol, to sign in, and to remove them.
pub(super) async fn codes(caller: &Shared) -> Option<()> {
    if Clock::system().now() % STEP_S > STEP_S - MARGIN_S {
        // The code of the previous step might be too old when it arrives.
        return None;
    }
    let login = caller.name("coded");
    let (user, word) = (format!("/users/{login}"), format!("quartz-violin-{login}"));
    let made = json!({ "login": login, "password": word, "roles": [] });
    caller.change("POST", &user, made, vec![password(&login, &word, true)]).await?;
    let mut here = sign_in(caller, &login, &word).await?;
    let seed = enrol(caller, &mut here, &login, &word, -STEP_S).await?;

    let mut browser = Browser::new(caller.operator.clone());
    let asked = answer_password(caller, &mut browser, &login, &word).await?;
    let code = code(&seed, 0);
    let spent = vec![code_of(&login, &word, &code, false)];
    let signed_in = caller.call(&mut browser, "POST", "auth/advanceAuth", Browser::step(&asked, &code), spent).await?;
    assert_eq!(signed_in.json()["Result"]["Summary"], "LoginSuccess", "{signed_in}");
    caller.know(session(&login, &browser, true));

    let remove = json!({ "password": word, "code": self::code(&seed, STEP_S) });
    let removed = vec![password(&login, &word, true), factor(caller, &user, false)];
    caller.call(&mut browser, "POST", "account/removeSecondFactor", remove, removed).await?;
    Some(())
}

/// Enrols a one-time code with the code of `after_s` seconds from now. Returns the seed.
async fn enrol(caller: &Shared, browser: &mut Browser, login: &str, word: &str, after_s: i64) -> Option<String> {
    let begin = json!({ "password": word });
    let begun = caller.call(browser, "POST", "account/beginSecondFactor", begin, vec![]).await?.result();
    let seed = begun["secret"].as_str().unwrap().to_owned();
    let confirm = json!({ "enrolment": begun["enrolment"], "code": code(&seed, after_s) });
    let enrolled = vec![password(login, word, false), factor(caller, &format!("/users/{login}"), true)];
    caller.call(browser, "POST", "account/confirmSecondFactor", confirm, enrolled).await?;
    Some(seed)
}

/// The user as shown, with or without a second factor.
fn factor(caller: &Shared, user: &str, is_enrolled: bool) -> Fact {
    let mut view = caller.book().last(&Question::Shown(user.to_owned()));
    view["second_factor"] = is_enrolled.into();
    shown(user, view)
}

fn code(seed: &str, after_s: i64) -> String {
    let seed = Secret::try_from_base32(seed).unwrap();
    let at = u64::try_from(Clock::system().now() + after_s).unwrap();
    Builder::new().with_secret(seed.as_bytes()).build().unwrap().generate(at).to_string()
}

/// Signs in on the page.
pub(super) async fn sign_in(caller: &Shared, login: &str, password: &str) -> Option<Browser> {
    let mut browser = Browser::new(caller.operator.clone());
    let answer = answer_password(caller, &mut browser, login, password).await?;
    assert_eq!(answer.json()["Result"]["Summary"], "LoginSuccess", "{answer}");
    caller.know(session(login, &browser, true));
    Some(browser)
}

/// Begins a sign-in and answers the first challenge.
async fn answer_password(caller: &Shared, browser: &mut Browser, login: &str, password: &str) -> Option<Answer> {
    browser.try_send(browser.call("GET", "getUISettings")).await?;
    let begin = json!({ "User": login, "Version": "1.0" });
    let package = caller.call(browser, "POST", "auth/beginAuth", begin, vec![]).await?;
    caller.call(browser, "POST", "auth/advanceAuth", Browser::step(&package, password), vec![]).await
}

/// Requests a token that ends with the session.
async fn ask_for_token(caller: &Shared, browser: &mut Browser) -> Option<String> {
    let ask = json!({ "authFlow": "OAUTH", "grantType": "client_credentials" });
    let set = caller.call(browser, "POST", "tokenSet", ask, vec![]).await?;
    let issued = set.json()["Result"]["access_token"].as_str().unwrap().to_owned();
    caller.know(token(&issued, true));
    Some(issued)
}
