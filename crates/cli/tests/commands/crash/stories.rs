//! The callers' stories: every kind of change that the server acknowledges, in an order that makes each possible.

use countersign_protocol::jose::jws::UnverifiedJwt;
use countersign_testkit::Answer;
use serde_json::{Value, json};

use super::book::{Fact, Question};
use super::caller::Shared;

/// The demo's API.
const API: &str = "oauthclient";

pub(super) fn shown(path: &str, answer: Value) -> Fact {
    (Question::Shown(path.to_owned()), answer)
}

fn secret(client: &str, secret: &str, works: bool) -> Fact {
    (Question::Secret { client: client.to_owned(), secret: secret.to_owned() }, works.into())
}

pub(super) fn password(login: &str, password: &str, works: bool) -> Fact {
    (Question::Password { login: login.to_owned(), password: password.to_owned() }, works.into())
}

pub(super) fn token(token: &str, is_active: bool) -> Fact {
    (Question::Token(token.to_owned()), is_active.into())
}

fn refresh(token: &str, state: &str) -> Fact {
    (Question::Refresh(token.to_owned()), state.into())
}

fn key(id: &str, is_published: bool) -> Fact {
    (Question::Key(id.to_owned()), is_published.into())
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

/// Clients, their entitlements and secrets, and the tokens that are revoked with them.
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

/// A new secret.
struct Made {
    id: String,
    path: String,
    text: String,
}

impl Made {
    /// The facts that show that it was revoked.
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

/// A client's token, for which no row is written.
async fn issue(caller: &Shared, client: &str, secret: &str) -> Option<String> {
    let form = [("grant_type", "client_credentials"), ("client_id", client), ("client_secret", secret)];
    let request = caller.operator.request("POST", "/oauth2/token").form(&form);
    let answer = caller.send(request, vec![], (0, 0), &[200]).await?;
    caller.know(token(&answer.text("access_token"), true));
    Some(answer.text("access_token"))
}

/// The demo user's token sets: refreshed, revoked, and reused by a thief.
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
    // It was spent one use ago, and its successor just now. That it is refused shows that the family has ended.
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

/// Signing keys, of an algorithm that only this caller's API uses.
pub(super) async fn keys(caller: &Shared) -> Option<()> {
    let id = caller.name("signed");
    let api = json!({ "id": id, "audience": format!("https://{id}.example"), "algorithm": "EdDSA" });
    caller.change("POST", &format!("/apis/{id}"), api, vec![]).await?;
    let scope = json!({ "name": "read", "rules": ["GET /one"], "default": true });
    caller.change("POST", &format!("/apis/{id}/scopes/read"), scope, vec![]).await?;
    let client = format!("{id}-client");
    let body = json!({ "client_id": client, "secret": {} });
    let made = caller.change("POST", &format!("/clients/{client}"), body, vec![]).await?.json();
    let secret = know_secret(caller, &client, &made["secret"]).text;
    let may = json!({ "scopes": ["read"], "grants": ["client_credentials"] });
    caller.change("PUT", &format!("/clients/{client}/entitlements/{id}"), may, vec![]).await?;
    // It signed the token that the checks use.
    let asks = json!({ "scopes": [], "grants": [], "introspect": true });
    caller.change("PUT", &format!("/clients/demo-service/entitlements/{id}"), asks, vec![]).await?;

    if let Some(pending) = rotate(caller).await? {
        revoke_key(caller, &pending, (1, 1)).await?;
    }
    for has_successor in [false, true] {
        if has_successor {
            rotate(caller).await?;
        }
        let own = issue(caller, &client, &secret).await?;
        let signing = key_of(&own);
        caller.know(key(&signing, true));
        // A successor is created and takes over before the key is revoked. Each is a separate change.
        revoke_key(caller, &signing, (1, 3)).await?;
    }
    Some(())
}

/// Creates a pending key. Returns no ID if one exists, because the previous round ended before it was used.
async fn rotate(caller: &Shared) -> Option<Option<String>> {
    let rotate = caller.operator.request("POST", "/admin/v1/keys/rotate").bearer_auth(&caller.token);
    let rotate = caller.send(rotate.json(&json!({ "algorithm": "EdDSA" })), vec![], (0, 1), &[201, 409]).await?;
    let pending = (rotate.status == 201).then(|| rotate.text("id"));
    if let Some(pending) = &pending {
        caller.know(key(pending, true));
    }
    Some(pending)
}

/// Revokes a key in one of two ways, and every token that it signed, even before a restart.
async fn revoke_key(caller: &Shared, id: &str, records: (usize, usize)) -> Option<()> {
    let mut ended: Vec<Fact> =
        caller.book().tokens().iter().filter(|one| key_of(one) == id).map(|one| token(one, false)).collect();
    ended.push(key(id, false));
    let path = if caller.flip() { format!("/keys/{id}/revoke") } else { "/revocations".to_owned() };
    let request = caller.operator.request("POST", &format!("/admin/v1{path}")).bearer_auth(&caller.token);
    let request = if path == "/revocations" { request.json(&json!({ "key_id": id })) } else { request };
    caller.send(request, ended, records, &[200, 204]).await.map(drop)
}

/// The ID of the key that signed a token.
fn key_of(token: &str) -> String {
    UnverifiedJwt::parse(token).unwrap().key_id().unwrap().to_string()
}

/// Failed passwords, and the playground's settings.
pub(super) async fn others(caller: &Shared) -> Option<()> {
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
