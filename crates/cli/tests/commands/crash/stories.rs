//! What the callers do: every kind of change that the server acknowledges, in an order in which each is possible.

use countersign_server::clock::Clock;
use countersign_testkit::{Answer, Browser};
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use super::book::{Fact, Question};
use super::caller::Shared;

/// The demo's API.
const API: &str = "oauthclient";
/// The cookie that outlives sessions, and changes within one.
const DEVICE_COOKIE: &str = "cs_device";

fn shown(path: &str, answer: Value) -> Fact {
    (Question::Shown(path.to_owned()), answer)
}

fn secret(client: &str, secret: &str, works: bool) -> Fact {
    (Question::Secret { client: client.to_owned(), secret: secret.to_owned() }, works.into())
}

fn password(login: &str, password: &str, works: bool) -> Fact {
    (Question::Password { login: login.to_owned(), password: password.to_owned() }, works.into())
}

fn token(token: &str, is_active: bool) -> Fact {
    (Question::Token(token.to_owned()), is_active.into())
}

fn refresh(token: &str, state: &str) -> Fact {
    (Question::Refresh(token.to_owned()), state.into())
}

fn session(login: &str, browser: &Browser, is_signed_in: bool) -> Fact {
    let mut cookies = browser.cookies.clone();
    cookies.retain(|name, _| name != DEVICE_COOKIE);
    (Question::Session { login: login.to_owned(), cookies }, is_signed_in.into())
}

/// APIs and their scopes.
pub(super) async fn apis(caller: &Shared) -> Option<()> {
    let id = caller.name("api");
    let (api, scope) = (format!("/apis/{id}"), format!("/apis/{id}/scopes/read"));
    let audience = format!("https://{id}.example");
    caller.change("POST", &api, json!({ "id": id, "audience": audience, "name": "One" }), vec![]).await?;
    let rules = json!({ "name": "read", "description": "One", "rules": ["GET /one"] });
    caller.change("POST", &scope, rules, vec![]).await?;
    let changed = json!({ "name": "Two", "access_token_lifetime_s": 600, "refresh_retry_s": 7 });
    caller.change("PATCH", &api, changed, vec![]).await?;
    caller.change("PATCH", &scope, json!({ "description": "Two", "rules": ["POST /two"] }), vec![]).await?;
    let moved = json!({ "audience": format!("https://{id}.example/moved"), "algorithm": "ES256" });
    caller.change("PATCH", &api, moved, vec![]).await?;
    caller.change("DELETE", &scope, Value::Null, vec![]).await?;
    caller.change("DELETE", &api, Value::Null, vec![]).await?;
    Some(())
}

/// Clients, their entitlements and secrets, and the tokens that end with them.
pub(super) async fn clients(caller: &Shared) -> Option<()> {
    let id = caller.name("client");
    let (client, secrets) = (format!("/clients/{id}"), format!("/clients/{id}/secrets"));
    let body = json!({ "client_id": id, "name": "One", "owner": "one", "secret": {} });
    let made = caller.change("POST", &client, body, vec![]).await?.json();
    let first = know_secret(caller, &id, &made["secret"]);
    let entitlement = format!("{client}/entitlements/{API}");
    let may = json!({ "scopes": ["all"], "grants": ["client_credentials"], "introspect": true });
    caller.change("PUT", &entitlement, may, vec![]).await?;
    let own = issue(caller, &id, &first.text).await?;
    let ended = vec![token(&own, false)];
    caller.administer("POST", "/revocations", json!({ "client_id": id }), ended).await?;

    let made = caller.administer("POST", &secrets, json!({ "label": "two" }), vec![]).await?;
    let second = know_secret(caller, &id, &made.json());
    caller.change("PATCH", &second.path, json!({ "label": "three" }), vec![]).await?;
    let overlap = json!({ "overlap_s": 3600 });
    let made = caller.administer("POST", &format!("{secrets}/rotate"), overlap, vec![]).await?;
    let third = know_secret(caller, &id, &made.json());
    let ended = json!({ "secret_id": third.id });
    caller.administer("POST", "/revocations", ended, third.ended(&id)).await?;

    let own = issue(caller, &id, &second.text).await?;
    let off = vec![secret(&id, &second.text, false), secret(&id, &first.text, false), token(&own, false)];
    caller.change("PATCH", &client, json!({ "name": "Two", "owner": "two", "status": "disabled" }), off).await?;
    let on = vec![secret(&id, &second.text, true), secret(&id, &first.text, true)];
    caller.change("PATCH", &client, json!({ "status": "active", "tokens_per_day": 7 }), on).await?;
    caller.change("DELETE", &entitlement, Value::Null, vec![]).await?;
    caller.administer("DELETE", &format!("{}?force=true", second.path), Value::Null, second.ended(&id)).await?;
    caller.change("DELETE", &client, Value::Null, first.ended(&id)).await?;
    Some(())
}

/// A secret that was made.
struct Made {
    id: String,
    path: String,
    text: String,
}

impl Made {
    /// By what can be seen that it has ended.
    fn ended(&self, client: &str) -> Vec<Fact> {
        vec![shown(&self.path, Value::Null), secret(client, &self.text, false)]
    }
}

fn know_secret(caller: &Shared, client: &str, made: &Value) -> Made {
    let [id, text] = ["secret_id", "client_secret"].map(|member| made[member].as_str().unwrap().to_owned());
    let path = format!("/clients/{client}/secrets/{id}");
    caller.know(shown(&path, json!({ "id": id })));
    caller.know(secret(client, &text, true));
    Made { id, path, text }
}

/// A token of a client; no row is written for it.
async fn issue(caller: &Shared, client: &str, secret: &str) -> Option<String> {
    let form = [("grant_type", "client_credentials"), ("client_id", client), ("client_secret", secret)];
    let request = caller.operator.request("POST", "/oauth2/token").form(&form);
    let answer = caller.send(request, vec![], (0, 0), &[200]).await?;
    caller.know(token(&answer.text("access_token"), true));
    Some(answer.text("access_token"))
}

/// Users: their passwords, sessions and one-time codes, by an administrator and by themselves.
pub(super) async fn people(caller: &Shared) -> Option<()> {
    let login = caller.name("user");
    let user = format!("/users/{login}");
    let words = ["quartz-violin", "harbor-ninety", "walnut-eleven"].map(|word| format!("{word}-{login}"));
    let [first, second, third] = words.each_ref().map(String::as_str);
    let made = json!({ "login": login, "password": first, "roles": [] });
    caller.change("POST", &user, made, vec![password(&login, first, true)]).await?;
    let there = sign_in(caller, &login, first).await?;
    let sessions = caller.operator.request("GET", &format!("/admin/v1{user}/sessions")).bearer_auth(&caller.token);
    let sessions = caller.operator.try_send(sessions).await?.json();
    let id = sessions["items"][0]["id"].as_str().unwrap();
    let mut here = sign_in(caller, &login, first).await?;
    let own = ask_for_token(caller, &mut here).await?;
    let ended = vec![session(&login, &there, false)];
    caller.administer("DELETE", &format!("{user}/sessions/{id}"), Value::Null, ended).await?;

    let change = json!({ "password": first, "newPassword": second });
    let changed = vec![
        password(&login, first, false),
        password(&login, second, true),
        token(&own, false),
        session(&login, &here, false),
    ];
    caller.call(&mut here, "POST", "account/changePassword", change, changed).await?;
    caller.know(session(&login, &here, true));

    let begun =
        caller.call(&mut here, "POST", "account/beginSecondFactor", json!({ "password": second }), vec![]).await?;
    let begun = begun.json()["Result"].clone();
    let confirm = json!({ "enrolment": begun["enrolment"], "code": code(begun["secret"].as_str()?) });
    let enrolled = vec![password(&login, second, false), factor(caller, &user, true)];
    caller.call(&mut here, "POST", "account/confirmSecondFactor", confirm, enrolled).await?;
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

/// The user as it was shown, with or without a second factor.
fn factor(caller: &Shared, user: &str, is_enrolled: bool) -> Fact {
    let mut view = caller.book().last(&Question::Shown(user.to_owned()));
    view["second_factor"] = is_enrolled.into();
    shown(user, view)
}

fn code(seed: &str) -> String {
    let seed = Secret::try_from_base32(seed).unwrap();
    let now = u64::try_from(Clock::system().now()).unwrap();
    Builder::new().with_secret(seed.as_bytes()).build().unwrap().generate(now).to_string()
}

/// Signs in at the page.
pub(super) async fn sign_in(caller: &Shared, login: &str, password: &str) -> Option<Browser> {
    let mut browser = Browser::new(caller.operator.clone());
    browser.try_send(browser.call("GET", "getUISettings")).await?;
    let begin = json!({ "User": login, "Version": "1.0" });
    let package = caller.call(&mut browser, "POST", "auth/beginAuth", begin, vec![]).await?;
    let step = Browser::step(&package, password);
    let answer = caller.call(&mut browser, "POST", "auth/advanceAuth", step, vec![]).await?;
    assert_eq!(answer.json()["Result"]["Summary"], "LoginSuccess", "{answer}");
    caller.know(session(login, &browser, true));
    Some(browser)
}

/// A token that ends with the session.
async fn ask_for_token(caller: &Shared, browser: &mut Browser) -> Option<String> {
    let ask = json!({ "authFlow": "OAUTH", "grantType": "client_credentials" });
    let set = caller.call(browser, "POST", "tokenSet", ask, vec![]).await?;
    let issued = set.json()["Result"]["access_token"].as_str().unwrap().to_owned();
    caller.know(token(&issued, true));
    Some(issued)
}

/// Token sets of the demo's user: refreshed, revoked, and used again by a thief.
pub(super) async fn tokens(caller: &Shared) -> Option<()> {
    let form = [("grant_type", "password"), ("username", &*caller.login), ("password", &*caller.password)];
    let mut access = Vec::new();
    let mut current = know_set(caller, &mut access, &caller.post("/oauth2/token", &form, vec![]).await?);
    let mut spent = current.clone();
    for _ in 0..4 {
        let form = [("grant_type", "refresh_token"), ("refresh_token", &*current)];
        let next = caller.post("/oauth2/token", &form, vec![refresh(&current, "spent")]).await?;
        spent = current;
        current = know_set(caller, &mut access, &next);
    }
    let one = access.remove(0);
    caller.post("/oauth2/revoke", &[("token", &one)], vec![token(&one, false)]).await?;
    let one = access.remove(0);
    caller.administer("POST", "/revocations", json!({ "token": one }), vec![token(&one, false)]).await?;
    let mut ended: Vec<Fact> = access.iter().map(|one| token(one, false)).collect();
    ended.push(refresh(&current, "ended"));
    if caller.flip() {
        caller.post("/oauth2/revoke", &[("token", &current)], ended).await?;
        return Some(());
    }
    // It was spent one use ago, and its successor now: that it is refused says that the family has ended.
    let next = [("grant_type", "refresh_token"), ("refresh_token", &*current)];
    let last = caller.post("/oauth2/token", &next, vec![refresh(&current, "spent")]).await?;
    let last = know_set(caller, &mut access, &last);
    ended.extend([refresh(&last, "ended"), token(access.last()?, false)]);
    let stolen = [("grant_type", "refresh_token"), ("refresh_token", &*spent)];
    caller.send(caller.service.post_request("/oauth2/token", &stolen), ended, (0, 0), &[400]).await?;
    Some(())
}

fn know_set(caller: &Shared, access: &mut Vec<String>, set: &Answer) -> String {
    access.push(set.text("access_token"));
    caller.know(token(&set.text("access_token"), true));
    caller.know(refresh(&set.text("refresh_token"), "fresh"));
    set.text("refresh_token")
}

/// Signing keys, of an algorithm that only this caller's API uses; failed passwords; the playground's settings.
pub(super) async fn others(caller: &Shared) -> Option<()> {
    let id = caller.name("signed");
    let api = json!({ "id": id, "audience": format!("https://{id}.example"), "algorithm": "EdDSA" });
    caller.change("POST", &format!("/apis/{id}"), api, vec![]).await?;
    let rotate = caller.operator.request("POST", "/admin/v1/keys/rotate").bearer_auth(&caller.token);
    // One is pending already if an end came between this and what follows.
    let rotate = caller.send(rotate.json(&json!({ "algorithm": "EdDSA" })), vec![], (0, 1), &[201, 409]).await?;
    if rotate.status == 201 {
        let key = rotate.text("id");
        caller.know(shown(&format!("/keys/{key}"), json!({ "state": "pending" })));
        let retired = vec![shown(&format!("/keys/{key}"), json!({ "state": "retired" }))];
        caller.administer("POST", &format!("/keys/{key}/revoke"), Value::Null, retired).await?;
    }
    let login = caller.name("guessed");
    let (user, failed) = (format!("/users/{login}"), format!("/users/{login}/failed-attempts"));
    let none = || vec![shown(&failed, json!({ "failures": 0 }))];
    caller.change("POST", &user, json!({ "login": login, "password": "quartz-violin-harbor" }), none()).await?;
    for failures in 1..=2 {
        let form = [("grant_type", "password"), ("username", &*login), ("password", "wrong")];
        let request = caller.service.post_request("/oauth2/token", &form);
        let counted = vec![shown(&failed, json!({ "failures": failures }))];
        caller.send(request, counted, (0, 0), &[400]).await?;
    }
    caller.administer("DELETE", &failed, Value::Null, none()).await?;
    let mut browser = caller.browser.clone();
    for scope in ["reports:read", "all"] {
        let new = json!({
            "oauthAppId": API, "oauthServiceUserName": "demo-service", "oauthScopesSupported": scope,
        });
        let shown = vec![(Question::Settings, json!({ "oauthScopesSupported": scope }))];
        caller.call(&mut browser, "PUT", "updateSettings", new, shown).await?;
    }
    Some(())
}
