//! Refresh tokens: used once, never with more scopes than at first, and reuse ends the family.

use countersign_protocol::client::Entitlement;
use countersign_protocol::grant_type::GrantType::{self, Password, RefreshToken};
use countersign_protocol::ids::{ApiId, ClientId};
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::scope::Scope;
use countersign_protocol::status::Status;
use countersign_testkit::{Actor, Answer, NewTestApi, NewTestClient, TestServer};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

const DAY_S: i64 = 86_400;

pub(crate) async fn story() -> (TestServer, Actor) {
    let server = TestServer::start().await;
    server.add_user("ada", "correct horse").await;
    let service = server.demo_service();
    (server, service)
}

pub(crate) async fn sign_in(service: &Actor, scope: &str) -> Answer {
    let form = [("grant_type", "password"), ("username", "ada"), ("password", "correct horse"), ("scope", scope)];
    let answer = service.token(&form).await;
    assert_eq!(answer.status, 200, "{answer}");
    answer
}

pub(crate) fn refused(answer: &Answer) {
    assert_eq!(answer.refusal(), (400, "invalid_grant".to_owned()), "{answer}");
}

#[tokio::test]
async fn a_refresh_returns_a_new_token_set_with_the_same_subject_and_auth_time() {
    let (server, service) = story().await;
    let first = sign_in(&service, "all reports:read").await;
    server.advance(1000).await;
    let second = service.refresh(&first.text("refresh_token")).await;
    assert_eq!((second.status, second.text("scope")), (200, "all reports:read".to_owned()), "{second}");
    assert_ne!(second.text("refresh_token"), first.text("refresh_token"));
    let (before, after) = (
        service.introspect(&first.text("access_token")).await.json(),
        service.introspect(&second.text("access_token")).await.json(),
    );
    for same in ["sub", "username", "auth_time", "client_id", "aud"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_eq!(after["iat"].as_i64(), before["iat"].as_i64().map(|at| at + 1000));
}

#[tokio::test]
async fn reuse_ends_the_family_and_its_access_tokens() {
    let (_server, service) = story().await;
    let first = sign_in(&service, "all").await;
    let second = service.refresh(&first.text("refresh_token")).await;
    let third = service.refresh(&second.text("refresh_token")).await;
    let other_family = sign_in(&service, "all").await;
    refused(&service.refresh(&first.text("refresh_token")).await);
    refused(&service.refresh(&third.text("refresh_token")).await);
    for set in [&first, &second, &third] {
        assert_eq!(service.introspect(&set.text("access_token")).await.body, r#"{"active":false}"#);
        assert_eq!(service.call("GET", "/resource/whoami", &set.text("access_token")).await.status, 401);
    }
    assert_eq!(service.refresh(&other_family.text("refresh_token")).await.status, 200);
}

#[tokio::test]
async fn a_narrower_scope_is_granted_a_wider_one_is_refused_without_spending_the_token() {
    let (_server, service) = story().await;
    let first = sign_in(&service, "reports:read reports:write").await;
    let token = first.text("refresh_token");
    let ask = async |token: &str, scope| {
        service.token(&[("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)]).await
    };
    for wider in ["all", "reports:read all", "nothing", "a\"b"] {
        assert_eq!(ask(&token, wider).await.refusal(), (400, "invalid_scope".to_owned()), "{wider}");
    }
    let narrower = ask(&token, "reports:read").await;
    assert_eq!(narrower.text("scope"), "reports:read", "{narrower}");
    let whole_again = service.refresh(&narrower.text("refresh_token")).await;
    assert_eq!(whole_again.text("scope"), "reports:read reports:write", "the family keeps its original scope");
}

#[tokio::test]
async fn an_unused_token_expires_after_seven_days_and_a_family_after_thirty() {
    let (server, service) = story().await;
    let idle = sign_in(&service, "all").await.text("refresh_token");
    server.advance(7 * DAY_S).await;
    refused(&service.refresh(&idle).await);
    let mut token = sign_in(&service, "all").await.text("refresh_token");
    for _ in 0..5 {
        server.advance(6 * DAY_S - 1).await;
        let next = service.refresh(&token).await;
        assert_eq!(next.status, 200, "{next}");
        token = next.text("refresh_token");
    }
    let said = service.introspect(&token).await.json();
    assert_eq!(said["active"], true);
    server.advance(5).await;
    refused(&service.refresh(&token).await);
    assert_eq!(service.introspect(&token).await.body, r#"{"active":false}"#);
}

#[tokio::test]
async fn another_clients_refresh_token_counts_as_unknown_and_is_not_spent() {
    let (server, service) = story().await;
    let everything: &[GrantType] = &GrantType::ALL;
    let may_ask = &[("oauthclient", "all", everything)];
    server.add_client(NewTestClient { id: "thief", secret: "thief", may_ask, may_introspect: &["oauthclient"] }).await;
    let thief = server.actor("thief", "thief");
    let set = sign_in(&service, "all").await;
    let token = set.text("refresh_token");
    refused(&thief.refresh(&token).await);
    refused(&thief.refresh("cs_refresh_unknown").await);
    let wider = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("scope", "nothing")];
    refused(&thief.token(&wider).await);
    assert_eq!(thief.introspect(&token).await.body, r#"{"active":false}"#);
    assert_eq!(thief.revoke(&token).await.refusal(), (400, "unauthorized_client".to_owned()));
    let second = service.refresh(&token).await;
    assert_eq!(second.status, 200, "{second}");
    refused(&thief.refresh(&token).await);
    assert_eq!(
        service.refresh(&second.text("refresh_token")).await.status,
        200,
        "reuse by another client does not end the family"
    );
}

#[tokio::test]
async fn a_refresh_checks_everything_again() {
    let (server, service) = story().await;
    let (api, client) = (ApiId::parse("oauthclient").unwrap(), ClientId::parse("demo-service").unwrap());
    let first = sign_in(&service, "all reports:read").await;
    let entitle = async |scopes: &str, grants: &[GrantType]| {
        let what = Entitlement { scopes: Scope::parse(scopes).unwrap(), grants: grants.iter().copied().collect() };
        server.change(async |change| change.allow_ask(&client, &api, &what).await.unwrap()).await;
    };
    entitle("reports:read", &GrantType::ALL).await;
    let second = service.refresh(&first.text("refresh_token")).await;
    assert_eq!(second.text("scope"), "reports:read", "the scopes that the client still has: {second}");
    entitle("reports:write", &GrantType::ALL).await;
    refused(&service.refresh(&second.text("refresh_token")).await);
    for grants in [&[Password][..], &[RefreshToken][..]] {
        entitle("all", &GrantType::ALL).await;
        let third = sign_in(&service, "all").await;
        entitle("all", grants).await;
        let answer = service.refresh(&third.text("refresh_token")).await;
        assert_eq!(answer.refusal(), (400, "unauthorized_client".to_owned()));
        entitle("all", &GrantType::ALL).await;
        refused(&service.refresh(&third.text("refresh_token")).await);
    }
    let fourth = sign_in(&service, "all").await;
    let ada = server.state.store.find_password("ada").await.unwrap().unwrap().user_id;
    for status in [Status::Disabled, Status::Active] {
        server.change(async |change| change.set_user_status(&ada, status).await.unwrap()).await;
        refused(&service.refresh(&fourth.text("refresh_token")).await);
    }
}

#[tokio::test]
async fn a_refresh_token_is_bound_to_its_api() {
    let (server, service) = story().await;
    server
        .add_api(NewTestApi { id: "billing", scopes: &["all"], grants: &GrantType::ALL, algorithm: Algorithm::Es256 })
        .await;
    let (billing, client) = (ApiId::parse("billing").unwrap(), ClientId::parse("demo-service").unwrap());
    let what = Entitlement { scopes: Scope::parse("all").unwrap(), grants: GrantType::ALL.into_iter().collect() };
    server.change(async |change| change.allow_ask(&client, &billing, &what).await.unwrap()).await;
    let form = [("grant_type", "password"), ("username", "ada"), ("password", "correct horse"), ("scope", "all")];
    let set = service.post("/OAuth2/Token/oauthclient", &form).await;
    let token = set.text("refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    // The client may request tokens for both APIs, by the same grants and for scopes of the same name.
    refused(&service.post("/OAuth2/Token/billing", &form).await);
    refused(&service.token(&[form[0], form[1], ("resource", "https://billing.example")]).await);
    let nobodys = [form[0], form[1], ("resource", "https://nobody.example")];
    assert_eq!(service.token(&nobodys).await.refusal(), (400, "invalid_target".to_owned()));
    let there = service.post("/OAuth2/Token/oauthclient", &form).await;
    assert_eq!(there.status, 200, "the refusals spent nothing: {there}");
}

#[tokio::test]
async fn a_family_and_its_end_are_remembered_across_a_restart() {
    let (server, service) = story().await;
    let first = sign_in(&service, "all").await;
    let second = service.refresh(&first.text("refresh_token")).await;
    let (ended, kept) = (sign_in(&service, "all").await, second.text("refresh_token"));
    assert_eq!(service.revoke(&ended.text("refresh_token")).await.status, 200);
    let server = server.restart().await;
    let service = server.demo_service();
    assert_eq!(service.introspect(&ended.text("access_token")).await.body, r#"{"active":false}"#);
    refused(&service.refresh(&ended.text("refresh_token")).await);
    let third = service.refresh(&kept).await;
    assert_eq!(third.status, 200, "{third}");
    assert_eq!(service.refresh(&kept).await.text("refresh_token"), third.text("refresh_token"));
    refused(&service.refresh(&first.text("refresh_token")).await);
    refused(&service.refresh(&third.text("refresh_token")).await);
}

/// Events in the life of a family: one of its tokens is used or revoked, or time passes.
#[derive(Clone, Debug)]
enum Event {
    Refresh(usize),
    Revoke(usize),
    Wait(i64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0..4usize).prop_map(Event::Refresh),
        1 => (0..4usize).prop_map(Event::Revoke),
        2 => (1..5i64).prop_map(|days| Event::Wait(days * DAY_S)),
        2 => (5..20i64).prop_map(Event::Wait),
    ];
    proptest::collection::vec(event, 1..16)
}

/// A simple model of a family: only its newest token works, unless it has expired or the family has ended. For 30 seconds, the
/// previous one returns the newest again.
struct Model {
    tokens: Vec<String>,
    newest_at: i64,
    began_at: i64,
    ended: bool,
}

#[tokio::test]
async fn a_family_behaves_like_its_model_for_random_events() {
    let (server, service) = story().await;
    let mut runner = TestRunner::deterministic();
    for _ in 0..40 {
        let events = events().new_tree(&mut runner).unwrap().current();
        let mut now = 0;
        let first = sign_in(&service, "all").await.text("refresh_token");
        let mut model = Model { tokens: vec![first], newest_at: 0, began_at: 0, ended: false };
        for event in &events {
            match event {
                Event::Wait(seconds) => {
                    now += seconds;
                    server.advance(*seconds).await;
                }
                Event::Revoke(back) => {
                    let token = &model.tokens[model.tokens.len().saturating_sub(1 + back)];
                    assert_eq!(service.revoke(token).await.status, 200);
                    model.ended = true;
                }
                Event::Refresh(back) => {
                    let newest = model.tokens.len() - 1;
                    let index = newest.saturating_sub(*back);
                    let is_young = now < model.began_at + 30 * DAY_S;
                    let is_fresh = is_young && now < model.newest_at + 7 * DAY_S;
                    let answer = service.refresh(&model.tokens[index]).await;
                    if model.ended {
                        refused(&answer);
                    } else if index == newest && is_fresh {
                        assert_eq!(answer.status, 200, "{events:?}: {answer}");
                        model.tokens.push(answer.text("refresh_token"));
                        model.newest_at = now;
                    } else if index + 1 == newest && now < model.newest_at + 30 {
                        if is_young {
                            assert_eq!(answer.text("refresh_token"), model.tokens[newest], "{events:?}: {answer}");
                        } else {
                            refused(&answer);
                        }
                    } else {
                        refused(&answer);
                        model.ended = index != newest;
                    }
                }
            }
        }
    }
}
