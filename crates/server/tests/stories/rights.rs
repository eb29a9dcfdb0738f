//! What is taken away ends what it opened, and granting it again brings nothing back.

use countersign_protocol::api::{ApiId, Audience};
use countersign_protocol::client::{ClientId, Entitlement, Status};
use countersign_protocol::grant::GrantType::{self, ClientCredentials, Password, RefreshToken};
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::scope::Scope;
use countersign_testkit::{Actor, Administrator, Answer, NewTestApi, NewTestClient, TestServer};
use serde_json::json;

use crate::admin_access::with_scopes;

const SECRET: &str = "a secret that was made elsewhere, long";
const INACTIVE: &str = r#"{"active":false}"#;
const EVERY_GRANT: [GrantType; 3] = [ClientCredentials, Password, RefreshToken];

/// A server with the API `billing` (scopes `read write pay`), the client `job` with all of it, and the user `ada`.
struct Story {
    server: TestServer,
    job: Actor,
}

impl Story {
    async fn begin() -> Self {
        let server = TestServer::start().await;
        let (scopes, algorithm) = (&["read", "write", "pay"], Algorithm::EdDsa);
        server.add_api(NewTestApi { id: "billing", scopes, grants: &EVERY_GRANT, algorithm }).await;
        let may_ask = &[("billing", "read write pay", &EVERY_GRANT[..])];
        server.add_client(NewTestClient { id: "job", secret: SECRET, may_ask, may_introspect: &[] }).await;
        server.add_user("ada", "correct horse").await;
        let job = server.actor("job", SECRET);
        Self { server, job }
    }

    /// Lets `job` ask for exactly this, in place of what it could before.
    async fn entitle(&self, scopes: &str, grants: &[GrantType]) {
        let what = Entitlement { scopes: Scope::parse(scopes).unwrap(), grants: grants.iter().copied().collect() };
        self.server.change(async |change| change.allow_ask(&job(), &billing(), &what).await.unwrap()).await;
    }

    async fn token(&self, scope: &str) -> String {
        self.job.client_credentials(scope).await.text("access_token")
    }

    async fn sign_in(&self, scope: &str) -> Answer {
        let form = [("grant_type", "password"), ("username", "ada"), ("password", "correct horse"), ("scope", scope)];
        let answer = self.job.token(&form).await;
        assert_eq!(answer.status, 200, "{answer}");
        answer
    }

    async fn is_active(&self, token: &str) -> bool {
        let answer = self.job.introspect(token).await;
        assert!(answer.body == INACTIVE || answer.json()["active"] == true, "{answer}");
        answer.body != INACTIVE
    }

    async fn removals(&self) -> usize {
        let rows = self.server.state.store.load_registry().await.unwrap();
        let of_clients: usize = rows.clients.iter().map(|client| client.removals.len()).sum();
        of_clients + rows.apis.iter().map(|api| api.removals.len()).sum::<usize>()
    }
}

fn billing() -> ApiId {
    ApiId::parse("billing").unwrap()
}

fn job() -> ClientId {
    ClientId::parse("job").unwrap()
}

#[tokio::test]
async fn a_removed_scope_ends_the_tokens_that_have_it_and_no_others() {
    let story = Story::begin().await;
    let (reads, pays) = (story.token("read").await, story.token("read pay").await);
    story.entitle("read write", &EVERY_GRANT).await;
    assert!(story.is_active(&reads).await);
    assert!(!story.is_active(&pays).await);
    story.entitle("read write pay", &EVERY_GRANT).await;
    assert!(!story.is_active(&pays).await, "granting it again revives nothing");
    let again = story.token("pay").await;
    assert!(story.is_active(&again).await, "a token issued since is good");
    story.entitle("read write pay", &EVERY_GRANT).await;
    assert!(story.is_active(&again).await, "what is deleted and put again in one change was not removed");
}

#[tokio::test]
async fn a_removed_grant_ends_the_tokens_that_came_of_it() {
    let story = Story::begin().await;
    let (of_client, of_user) = (story.token("read").await, story.sign_in("read").await);
    story.entitle("read write pay", &[Password, RefreshToken]).await;
    assert!(!story.is_active(&of_client).await);
    assert!(story.is_active(&of_user.text("access_token")).await);
    story.entitle("read write pay", &[ClientCredentials]).await;
    assert!(!story.is_active(&of_user.text("access_token")).await);
    story.entitle("read write pay", &EVERY_GRANT).await;
    assert!(!story.is_active(&of_client).await && !story.is_active(&of_user.text("access_token")).await);
    let refused = story.job.refresh(&of_user.text("refresh_token")).await;
    assert_eq!(refused.refusal(), (400, "invalid_grant".to_owned()), "{refused}");
}

#[tokio::test]
async fn a_grant_or_scope_that_the_api_itself_loses_ends_everybodys_tokens() {
    let story = Story::begin().await;
    let operator = story.server.operator().await;
    let (of_client, of_user) = (story.token("read").await, story.sign_in("read").await);
    let narrowed = operator.patch("/apis/billing", json!({ "grants": ["client_credentials"] })).await;
    assert_eq!(narrowed.status, 200, "{narrowed}");
    assert!(story.is_active(&of_client).await);
    assert!(!story.is_active(&of_user.text("access_token")).await);
    let grants = json!({ "grants": ["client_credentials", "password", "refresh_token"] });
    assert_eq!(operator.patch("/apis/billing", grants).await.status, 200);
    assert!(!story.is_active(&of_user.text("access_token")).await);
    assert_eq!(story.job.refresh(&of_user.text("refresh_token")).await.status, 400);

    let pays = story.token("pay").await;
    story.entitle("read write", &EVERY_GRANT).await;
    assert_eq!(operator.delete("/apis/billing/scopes/pay").await.status, 204);
    let pay = json!({ "name": "pay", "rules": ["* .*"] });
    assert_eq!(operator.post("/apis/billing/scopes", pay).await.status, 201);
    story.entitle("read write pay", &EVERY_GRANT).await;
    assert!(!story.is_active(&pays).await && story.is_active(&of_client).await);
}

#[tokio::test]
async fn a_removed_entitlement_ends_tokens_and_families_for_good() {
    let story = Story::begin().await;
    let (token, family) = (story.token("read").await, story.sign_in("read").await);
    let operator = story.server.operator().await;
    assert_eq!(operator.delete("/clients/job/entitlements/billing").await.status, 204);
    assert!(!story.is_active(&token).await);
    story.entitle("read write pay", &EVERY_GRANT).await;
    assert!(!story.is_active(&token).await && !story.is_active(&family.text("access_token")).await);
    assert_eq!(story.job.refresh(&family.text("refresh_token")).await.refusal(), (400, "invalid_grant".to_owned()));
    assert_eq!(story.job.introspect(&family.text("refresh_token")).await.body, INACTIVE);
}

#[tokio::test]
async fn a_family_goes_on_with_what_is_left_of_its_scope_and_gets_nothing_back() {
    let story = Story::begin().await;
    let first = story.sign_in("read write").await;
    story.entitle("read pay", &EVERY_GRANT).await;
    let said = story.job.introspect(&first.text("refresh_token")).await.json();
    assert_eq!(said["scope"], "read", "introspection shows what a refresh would grant now");
    let second = story.job.refresh(&first.text("refresh_token")).await;
    assert_eq!(second.text("scope"), "read", "{second}");
    story.entitle("read write pay", &EVERY_GRANT).await;
    let third = story.job.refresh(&second.text("refresh_token")).await;
    assert_eq!(third.text("scope"), "read", "{third}");
    assert!(story.is_active(&third.text("access_token")).await, "it carries the change of its own issue");
    let wider =
        [("grant_type", "refresh_token"), ("refresh_token", &third.text("refresh_token")), ("scope", "read write")];
    assert_eq!(story.job.token(&wider).await.refusal(), (400, "invalid_scope".to_owned()));

    let writes = story.sign_in("write").await;
    story.entitle("read", &EVERY_GRANT).await;
    story.entitle("read write", &EVERY_GRANT).await;
    let nothing_left = story.job.refresh(&writes.text("refresh_token")).await;
    assert_eq!(nothing_left.refusal(), (400, "invalid_grant".to_owned()), "{nothing_left}");
}

#[tokio::test]
async fn an_api_made_again_or_given_its_audience_again_does_not_know_the_old_tokens() {
    let story = Story::begin().await;
    let (token, family) = (story.token("read").await, story.sign_in("read").await);
    let of_audience = async |audience: &str| {
        let audience = Audience::parse(audience).unwrap();
        story.server.change(async |change| change.set_audience(&billing(), &audience).await.unwrap()).await;
    };
    of_audience("https://elsewhere.example").await;
    assert!(!story.is_active(&token).await);
    of_audience("https://billing.example").await;
    assert!(!story.is_active(&token).await && !story.is_active(&family.text("access_token")).await);
    assert_eq!(story.job.refresh(&family.text("refresh_token")).await.refusal(), (400, "invalid_grant".to_owned()));

    let (token, family) = (story.token("read").await, story.sign_in("read").await);
    story.server.change(async |change| change.delete_api(&billing()).await.unwrap()).await;
    assert!(!story.is_active(&token).await);
    let (scopes, algorithm) = (&["read", "write", "pay"], Algorithm::EdDsa);
    story.server.add_api(NewTestApi { id: "billing", scopes, grants: &EVERY_GRANT, algorithm }).await;
    story.entitle("read write pay", &EVERY_GRANT).await;
    assert!(!story.is_active(&token).await && !story.is_active(&family.text("access_token")).await);
    assert_eq!(story.job.refresh(&family.text("refresh_token")).await.refusal(), (400, "invalid_grant".to_owned()));
    let anew = story.token("read").await;
    assert!(story.is_active(&anew).await);
}

#[tokio::test]
async fn a_client_enabled_again_begins_anew() {
    let story = Story::begin().await;
    let (token, family) = (story.token("read").await, story.sign_in("read").await);
    let operator = story.server.operator().await;
    for status in ["disabled", "active"] {
        assert_eq!(operator.patch("/clients/job", json!({ "status": status })).await.status, 200);
    }
    assert!(!story.is_active(&token).await && !story.is_active(&family.text("access_token")).await);
    assert_eq!(story.job.refresh(&family.text("refresh_token")).await.refusal(), (400, "invalid_grant".to_owned()));
    let anew = story.token("read").await;
    assert!(story.is_active(&anew).await);
}

#[tokio::test]
async fn a_user_enabled_again_begins_anew() {
    let story = Story::begin().await;
    let ada = story.server.state.store.find_password("ada").await.unwrap().unwrap().user_id;
    let family = story.sign_in("read").await;
    for status in [Status::Disabled, Status::Active] {
        story.server.change(async |change| change.set_user_status(&ada, status).await.unwrap()).await;
    }
    assert!(!story.is_active(&family.text("access_token")).await);
    assert_eq!(story.job.refresh(&family.text("refresh_token")).await.refusal(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn a_removal_is_kept_until_all_that_was_issued_before_it_has_expired_and_no_longer() {
    let story = Story::begin().await;
    let operator = story.server.operator().await;
    let family = story.sign_in("read write").await;
    let issued_until = 30 * 86_400;
    let shortened = json!({ "refresh_absolute_s": 3600, "refresh_idle_s": 60 });
    assert_eq!(operator.patch("/apis/billing", shortened).await.status, 200);
    story.entitle("read", &EVERY_GRANT).await;
    story.entitle("read write", &EVERY_GRANT).await;
    assert_eq!(story.removals().await, 2, "of `write` and of `pay`");
    story.server.advance(86_400).await;
    assert_eq!(story.removals().await, 2, "the family was issued when families lasted longer");
    let refreshed = story.job.refresh(&family.text("refresh_token")).await;
    assert_eq!(refreshed.text("scope"), "read", "{refreshed}");
    story.server.advance(issued_until).await;
    story.server.advance(86_400).await;
    assert_eq!(story.removals().await, 0);
}

#[tokio::test]
async fn an_administrator_who_lost_rights_has_no_token_to_get_them_back_with() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let scopes = ["clients:read", "clients:write", "secrets:write"];
    let all = json!({ "scopes": scopes, "grants": ["client_credentials"] });
    for (id, narrowed) in [("robbed", None), ("narrowed", Some(json!(["clients:read"])))] {
        let stripped = with_scopes(&server, id, &scopes).await;
        let path = format!("/clients/{id}/entitlements/admin-api");
        let taken = match narrowed {
            None => operator.delete(&path).await,
            Some(left) => operator.put(&path, json!({ "scopes": left, "grants": ["client_credentials"] })).await,
        };
        assert!(taken.status < 300, "{taken}");
        assert_eq!(stripped.put(&path, all.clone()).await.status, 401, "{id} restores its rights");
        assert_eq!(stripped.post(&format!("/clients/{id}/secrets"), json!({})).await.status, 401);
        assert_eq!(stripped.post("/clients", json!({ "client_id": "accomplice" })).await.status, 401);
        assert_eq!(stripped.get("/clients").await.status, 401);
        assert_eq!(operator.put(&path, all.clone()).await.status, 200);
        assert_eq!(stripped.get("/clients").await.status, 401, "{id}: rights given again need a new token");
    }
}

#[tokio::test]
async fn an_administrator_whose_secret_is_ended_has_no_token_left() {
    let server = TestServer::start().await;
    let robbed = with_scopes(&server, "robbed", &["clients:read", "secrets:write"]).await;
    let operator = server.operator().await;
    let secret = operator.list("/clients/robbed/secrets").await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(operator.delete(&format!("/clients/robbed/secrets/{secret}?force=true")).await.status, 204);
    assert_eq!(robbed.get("/clients").await.status, 401, "without `for_cause`");
    assert_eq!(robbed.post("/clients/robbed/secrets", json!({})).await.status, 401, "it makes itself no other");
}

#[tokio::test]
async fn rights_are_decided_again_once_the_change_has_the_lock() {
    let server = TestServer::start().await;
    let writer = with_scopes(&server, "writer", &["clients:read", "clients:write"]).await;
    let mut first = server.state.store.begin_change(server.state.now()).await.unwrap();
    let waiting = tokio::spawn({
        let writer = writer.clone();
        async move { writer.post("/clients", json!({ "client_id": "accomplice" })).await }
    });
    // The call has passed the guard when it waits for the change that holds the lock.
    while server.state.is_change_free() {
        tokio::task::yield_now().await;
    }
    let (writer_id, admin_api) = (ClientId::parse("writer").unwrap(), ApiId::parse("admin-api").unwrap());
    first.disallow(&writer_id, &admin_api).await.unwrap();
    first.commit().await.unwrap();
    let late = waiting.await.unwrap();
    assert_eq!(late.problem(), (403, "rights-ended".to_owned(), String::new()), "{late}");
    assert_eq!(server.operator().await.get("/clients/accomplice").await.status, 404, "nothing was changed");
}

#[tokio::test]
async fn nobody_acts_upon_what_may_do_more_than_they_may() {
    let server = TestServer::start().await;
    let mut demo = server.demo_browser().await;
    let weak = with_scopes(&server, "weak", &["users:read", "users:write", "tokens:revoke", "clients:write"]).await;
    let sessions = weak.list("/users/demo/sessions").await;
    let session = sessions[0]["id"].as_str().unwrap();
    let operator_token = token_of(&server).await;
    let not_yours = |answer: Answer| assert_eq!(answer.problem().1, "not-yours", "{answer}");
    not_yours(weak.delete(&format!("/users/demo/sessions/{session}")).await);
    not_yours(weak.post("/revocations", json!({ "user": "demo" })).await);
    not_yours(weak.post("/revocations", json!({ "client_id": "operator" })).await);
    not_yours(weak.post("/revocations", json!({ "token": operator_token })).await);
    let oauthclient = json!({ "scopes": ["all"], "grants": ["client_credentials"] });
    not_yours(weak.put("/clients/operator/entitlements/oauthclient", oauthclient.clone()).await);
    assert_eq!(demo.get("account/sessions").await.status, 200, "the session goes on");
    assert_eq!(Administrator::with_token(&server, &operator_token).get("/clients").await.status, 200);

    let operator = server.operator().await;
    assert_eq!(operator.put("/clients/operator/entitlements/oauthclient", oauthclient).await.status, 200);
    not_yours(weak.delete("/clients/operator/entitlements/oauthclient").await);
    let service = server.demo_service();
    let leaked = service.client_credentials("all").await.text("access_token");
    assert_eq!(weak.post("/revocations", json!({ "token": leaked })).await.status, 200, "an ordinary token");
    assert_eq!(service.introspect(&leaked).await.body, INACTIVE);
    assert_eq!(operator.post("/revocations", json!({ "user": "demo" })).await.status, 200);
    assert_eq!(demo.get("account/sessions").await.status, 401);

    // Who may introspect every token of `admin-api` is an administrator, too.
    let introspect = json!({ "introspect": true });
    assert_eq!(operator.post("/clients", json!({ "client_id": "watcher" })).await.status, 201);
    assert_eq!(operator.put("/clients/watcher/entitlements/admin-api", introspect).await.status, 200);
    not_yours(weak.patch("/clients/watcher", json!({ "name": "Mine" })).await);
}

/// A token of the operator's, as somebody may have found it.
async fn token_of(server: &TestServer) -> String {
    let text = std::fs::read_to_string(server.directory().join("operator.json")).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let operator = server.actor("operator", file["client_secret"].as_str().unwrap());
    let audience = format!("{}/admin", server.state.issuer);
    let form = [("grant_type", "client_credentials"), ("resource", &audience)];
    operator.token(&form).await.text("access_token")
}

#[tokio::test]
async fn a_leaked_key_is_revoked_by_whoever_may_revoke_keys() {
    let server = TestServer::start().await;
    let keys = with_scopes(&server, "keys", &["keys:read", "keys:write"]).await;
    let listed = keys.list_whole("/keys").await;
    let es256 = listed.iter().find(|key| key["algorithm"] == "ES256").unwrap()["id"].as_str().unwrap();
    let revoked = keys.call("POST", &format!("/keys/{es256}/revoke"), None, &[]).await;
    assert_eq!(revoked.status, 204, "{revoked}");
}

#[tokio::test]
async fn admin_api_is_out_of_reach_of_the_playground() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let everything = json!({ "scopes": ["clients:read", "clients:write"], "grants": ["client_credentials"] });
    assert_eq!(operator.put("/clients/demo-service/entitlements/admin-api", everything).await.status, 200);
    server.add_user("ada", "correct horse").await;
    let mut ada = server.browser();
    ada.sign_in("ada", "correct horse").await;
    let ask = json!({ "authFlow": "OAUTH", "grantType": "client_credentials", "api": "admin-api", "scope": "" });
    for call in ["tokenRequestPreview", "tokenSet"] {
        let answer = ada.post(call, ask.clone()).await;
        assert_eq!(answer.fault(), (400, "bad_request".to_owned()), "{call}: {answer}");
        assert!(answer.text("ErrorMessage").starts_with("api: admin-api is for administration"), "{answer}");
    }
    let page = ada.send(ada.request("GET", "/m2m")).await.body;
    assert!(!page.contains("admin-api"), "{page}");
    assert_eq!(ada.token_set().await["token_type"], "Bearer", "all else goes on");

    let mut demo = server.demo_browser().await;
    let save = async |demo: &mut countersign_testkit::Browser, changes: serde_json::Value| {
        let mut settings = json!({
            "oauthAppId": "oauthclient", "oauthServiceUserName": "demo-service", "oauthScopesSupported": "",
        });
        settings.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        demo.put("updateSettings", settings).await
    };
    let secret = json!({ "oauthServiceUserName": "operator", "oauthServiceUserPassword": "x".repeat(40) });
    for (changes, message) in [
        (json!({ "oauthAppId": "admin-api" }), "oauthAppId: admin-api is for administration"),
        (secret, "oauthServiceUserName: operator is for administration"),
    ] {
        let answer = save(&mut demo, changes).await;
        assert!(answer.status == 400 && answer.text("ErrorMessage").starts_with(message), "{answer}");
    }
    // Settings from before they were refused there.
    server.tamper("UPDATE playground_settings SET api_id = 'admin-api'");
    server.change(async |_| ()).await;
    let answer = ada.post("tokenSet", json!({ "authFlow": "OAUTH", "grantType": "client_credentials" })).await;
    assert_eq!(answer.fault(), (400, "bad_request".to_owned()), "{answer}");
}

#[tokio::test]
async fn a_secret_tried_through_settings_counts_as_a_guess_and_is_not_tried_for_who_may_not_save() {
    let server = TestServer::start().await;
    let mut demo = server.demo_browser().await;
    let wrong = json!({
        "oauthAppId": "oauthclient", "oauthServiceUserName": "demo-service",
        "oauthServiceUserPassword": "guess-guess-guess", "oauthScopesSupported": "",
    });
    let mut guesses = 0;
    let status = loop {
        match demo.put("updateSettings", wrong.clone()).await.status {
            400 if guesses < 2000 => guesses += 1,
            other => break other,
        }
    };
    assert_eq!((guesses, status), (1000, 429), "as many as at the token endpoint");

    let server = TestServer::start().await;
    let mut demo = server.demo_browser().await;
    let mut first = server.state.store.begin_change(server.state.now()).await.unwrap();
    let waiting = tokio::spawn(async move { demo.put("updateSettings", wrong).await });
    while server.state.is_change_free() {
        tokio::task::yield_now().await;
    }
    let demo_user = server.state.store.find_password("demo").await.unwrap().unwrap().user_id;
    first.set_roles(&demo_user, &[]).await.unwrap();
    first.commit().await.unwrap();
    let late = waiting.await.unwrap();
    assert_eq!(late.fault(), (403, "not_allowed".to_owned()), "{late}");
}
