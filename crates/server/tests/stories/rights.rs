//! Removing a right invalidates the tokens that use it, and granting it again does not restore them.

use countersign_protocol::audience::Audience;
use countersign_protocol::client::Entitlement;
use countersign_protocol::grant_type::GrantType::{self, ClientCredentials, Password, RefreshToken};
use countersign_protocol::ids::{ApiId, ClientId};
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::scope::Scope;
use countersign_protocol::scope_token::ScopeToken;
use countersign_protocol::status::Status;
use countersign_testkit::{Actor, Answer, NewTestApi, NewTestClient, TestServer, load_rows};
use serde_json::json;

const SECRET: &str = "a secret that was made elsewhere, long";
const INACTIVE: &str = r#"{"active":false}"#;
const EVERY_GRANT: [GrantType; 3] = [ClientCredentials, Password, RefreshToken];

/// A server with the API `billing` (scopes `read write pay`), the fully entitled client `job`, and the user `ada`.
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

    /// Replaces what `job` may request.
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
        let rows = load_rows(&self.server.state.store).await;
        let of_clients: usize = rows.clients.iter().map(|client| client.value.removals.len()).sum();
        of_clients + rows.apis.iter().map(|api| api.value.removals.len()).sum::<usize>()
    }
}

fn billing() -> ApiId {
    ApiId::parse("billing").unwrap()
}

fn job() -> ClientId {
    ClientId::parse("job").unwrap()
}

#[tokio::test]
async fn removing_a_scope_only_invalidates_tokens_that_have_it() {
    let story = Story::begin().await;
    let (reads, pays) = (story.token("read").await, story.token("read pay").await);
    story.entitle("read write", &EVERY_GRANT).await;
    assert!(story.is_active(&reads).await);
    assert!(!story.is_active(&pays).await);
    story.entitle("read write pay", &EVERY_GRANT).await;
    assert!(!story.is_active(&pays).await, "granting it again restores nothing");
    let again = story.token("pay").await;
    assert!(story.is_active(&again).await, "a token issued since then is valid");
    story.entitle("read write pay", &EVERY_GRANT).await;
    assert!(story.is_active(&again).await, "deleting and granting it in one change removes nothing");
}

#[tokio::test]
async fn removing_a_grant_invalidates_the_tokens_issued_by_it() {
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
async fn removing_a_grant_or_scope_from_the_api_invalidates_every_clients_tokens() {
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
    let refused = story.job.refresh(&of_user.text("refresh_token")).await;
    assert_eq!(refused.refusal(), (400, "invalid_grant".to_owned()), "{refused}");

    let pays = story.token("pay").await;
    let pay = ScopeToken::parse("pay").unwrap();
    let defined = story.server.state.registry.current().find_api("billing").unwrap().find_scope(&pay).unwrap().clone();
    story.server.change(async |change| change.delete_scope(&billing(), &pay).await.unwrap()).await;
    assert!(!story.is_active(&pays).await && story.is_active(&of_client).await);
    story.server.change(async |change| change.put_scope(&billing(), &defined).await.unwrap()).await;
    assert!(!story.is_active(&pays).await && story.is_active(&of_client).await);
    let pays = story.token("pay").await;
    story
        .server
        .change(async |change| {
            change.delete_scope(&billing(), &pay).await.unwrap();
            change.put_scope(&billing(), &defined).await.unwrap();
        })
        .await;
    assert!(story.is_active(&pays).await, "deleted and granted again in one change");
}

#[tokio::test]
async fn removing_an_entitlement_permanently_invalidates_tokens_and_families() {
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
async fn a_family_continues_with_the_remaining_scopes_and_regains_none() {
    let story = Story::begin().await;
    let first = story.sign_in("read write").await;
    story.entitle("read pay", &EVERY_GRANT).await;
    let said = story.job.introspect(&first.text("refresh_token")).await.json();
    assert_eq!(said["scope"], "read", "introspection shows what a refresh would now grant");
    let second = story.job.refresh(&first.text("refresh_token")).await;
    assert_eq!(second.text("scope"), "read", "{second}");
    story.entitle("read write pay", &EVERY_GRANT).await;
    let third = story.job.refresh(&second.text("refresh_token")).await;
    assert_eq!(third.text("scope"), "read", "{third}");
    assert!(story.is_active(&third.text("access_token")).await, "it contains the change of its own issue");
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
async fn an_api_that_is_recreated_or_gets_its_audience_back_refuses_old_tokens() {
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
async fn old_tokens_stay_invalid_when_a_client_is_enabled_again() {
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
async fn old_tokens_stay_invalid_when_a_client_disabled_by_an_older_version_is_enabled() {
    let story = Story::begin().await;
    let family = story.sign_in("read").await;
    // An older version did not raise the epoch.
    story.server.tamper("UPDATE clients SET status = 'disabled' WHERE id = 'job'");
    story.server.change(async |change| change.set_client_status(&job(), Status::Active).await.unwrap()).await;
    assert_eq!(story.job.refresh(&family.text("refresh_token")).await.refusal(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn tokens_of_an_older_version_stay_valid_by_epoch_until_a_later_removal() {
    let story = Story::begin().await;
    let family = story.sign_in("read write").await;
    // An older version stored the epochs of the client and the user, which are not later than the change.
    story.server.tamper(
        "UPDATE refresh_families SET client_epoch = (SELECT epoch FROM clients WHERE id = 'job'), \
         user_epoch = (SELECT epoch FROM users WHERE login_key = 'ada'); UPDATE apis SET epoch = 0",
    );
    story.server.change(async |_| ()).await;
    let second = story.job.refresh(&family.text("refresh_token")).await;
    assert_eq!(second.text("scope"), "read write", "{second}");
    story.entitle("read", &EVERY_GRANT).await;
    story.entitle("read write", &EVERY_GRANT).await;
    let third = story.job.refresh(&second.text("refresh_token")).await;
    assert_eq!(third.text("scope"), "read", "{third}");
}

#[tokio::test]
async fn too_many_removals_are_merged_into_one() {
    let story = Story::begin().await;
    let keeps = story.token("read").await;
    let names: Vec<String> = (0..600).map(|number| format!("s{number}")).collect();
    let all = names.iter().map(|name| ScopeToken::parse(name).unwrap()).collect::<Scope>();
    let entitle = async |scopes: Scope| {
        let what = Entitlement { scopes, grants: EVERY_GRANT.into_iter().collect() };
        story.server.change(async |change| change.allow_ask(&job(), &billing(), &what).await.unwrap()).await;
    };
    let read = Scope::parse("read").unwrap();
    entitle(all.iter().chain(read.iter()).cloned().collect()).await;
    assert!(story.is_active(&keeps).await);
    entitle(read).await;
    assert_eq!(story.removals().await, 1);
    assert!(!story.is_active(&keeps).await, "too many tokens are invalidated rather than too few");
    assert!(story.is_active(&story.token("read").await).await);
}

#[tokio::test]
async fn old_tokens_stay_invalid_when_a_user_is_enabled_again() {
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
async fn a_removal_is_kept_exactly_until_all_earlier_tokens_have_expired() {
    let story = Story::begin().await;
    let operator = story.server.operator().await;
    let family = story.sign_in("read write").await;
    let issued_until = 30 * 86_400;
    let shortened = json!({ "refresh_absolute_s": 3600, "refresh_idle_s": 60 });
    assert_eq!(operator.patch("/apis/billing", shortened).await.status, 200);
    story.entitle("read", &EVERY_GRANT).await;
    story.entitle("read write", &EVERY_GRANT).await;
    assert_eq!(story.removals().await, 2, "those of `write` and `pay`");
    story.server.advance(86_400).await;
    assert_eq!(story.removals().await, 2, "the family was issued under a longer lifetime");
    let refreshed = story.job.refresh(&family.text("refresh_token")).await;
    assert_eq!(refreshed.text("scope"), "read", "{refreshed}");
    story.server.advance(issued_until).await;
    story.server.advance(86_400).await;
    assert_eq!(story.removals().await, 0);
}
