//! A refresh token is spent once, on every engine.

use countersign_protocol::ids::{ApiId, ClientId, FamilyId, UserId};
use countersign_protocol::refresh_token::{RefreshFamily, Retry};
use countersign_protocol::scope::Scope;
use countersign_protocol::secret::SecretHash;
use countersign_store::{NewRefreshToken, Spend, Store};
use tokio::task::JoinSet;

use crate::fresh;
use crate::registry::api;

pub(crate) fn family(id: &str, expires_at: i64) -> RefreshFamily {
    RefreshFamily {
        id: FamilyId::new(id),
        client_id: ClientId::parse("job").unwrap(),
        user_id: UserId::from_random([1; 16]),
        api_id: ApiId::parse("billing").unwrap(),
        scope: Scope::parse("a b").unwrap(),
        auth_time: 10,
        issued_change: 3,
        user_change: 4,
        expires_at,
        ended: false,
    }
}

pub(crate) fn token(text: &str) -> NewRefreshToken {
    NewRefreshToken {
        hash: SecretHash::of(text),
        issued_at: 20,
        expires_at: 30,
        access_token_expires_at: 50,
        retry: None,
    }
}

async fn spend(store: &Store, from: &str, to: &str) -> Spend {
    store.spend_refresh_token(&SecretHash::of(from), &FamilyId::new("f"), &token(to)).await.unwrap()
}

#[tokio::test]
async fn a_token_is_found_with_its_family_and_spent_once() {
    let fresh = fresh().await;
    let store = &fresh.store;
    store.insert_family(&family("f", 100), &token("a")).await.unwrap();
    let found = store.find_refresh_token(&SecretHash::of("a")).await.unwrap().unwrap();
    assert_eq!(format!("{:?}", found.family), format!("{:?}", family("f", 100)));
    assert_eq!((found.issued_at, found.expires_at, found.spent_at), (20, 30, None));
    assert!(store.find_refresh_token(&SecretHash::of("b")).await.unwrap().is_none());
    assert_eq!(spend(store, "unknown", "x").await, Spend::TooLate);
    assert_eq!(spend(store, "a", "b").await, Spend::Spent);
    assert_eq!(spend(store, "a", "c").await, Spend::TooLate);
    assert_eq!(store.find_refresh_token(&SecretHash::of("a")).await.unwrap().unwrap().spent_at, Some(20));
    assert_eq!(store.find_refresh_token(&SecretHash::of("b")).await.unwrap().unwrap().spent_at, None);
    assert!(store.find_refresh_token(&SecretHash::of("c")).await.unwrap().is_none(), "both or neither");
}

#[tokio::test]
async fn a_refresh_can_be_retried_until_the_successor_is_used_or_the_window_ends() {
    let fresh = fresh().await;
    let store = &fresh.store;
    store.insert_family(&family("f", 100), &token("a")).await.unwrap();
    let retry = |salt: u8, until| Some(Retry { salt: [salt; 32], until });
    let spend = async |from: &str, to: &str, retry: Option<Retry>| {
        let successor = NewRefreshToken { retry, ..token(to) };
        store.spend_refresh_token(&SecretHash::of(from), &FamilyId::new("f"), &successor).await.unwrap()
    };
    let repeat = async |successor: &str, until, now| {
        store.repeat_refresh_token(&SecretHash::of(successor), until, now).await.unwrap()
    };
    let found = async |text: &str| store.find_refresh_token(&SecretHash::of(text)).await.unwrap().unwrap().retry;
    assert_eq!(spend("a", "b", retry(1, 50)).await, Spend::Spent);
    assert_eq!(found("a").await, retry(1, 50));
    assert_eq!(found("b").await, None, "no successor yet");
    assert!(repeat("b", 60, 49).await && !repeat("b", 60, 50).await && !repeat("a", 60, 49).await);
    assert_eq!(store.end_family(&FamilyId::new("other"), 1, 2).await.unwrap(), 2);

    assert_eq!(spend("b", "c", retry(2, 70)).await, Spend::Spent);
    assert_eq!(
        (found("a").await, found("b").await),
        (None, retry(2, 70)),
        "the salt is erased once the successor is used"
    );
    assert!(!repeat("b", 60, 49).await);
    assert_eq!(store.forget_refresh_retries(69).await.unwrap(), 0);
    assert_eq!(store.forget_refresh_retries(70).await.unwrap(), 1);
    assert_eq!(found("b").await, None);
    assert!(!repeat("c", 60, 49).await, "its salt is gone");
    assert_eq!(store.forget_refresh_retries(100).await.unwrap(), 0);

    assert_eq!(spend("c", "d", retry(3, 90)).await, Spend::Spent);
    assert!(repeat("d", 80, 60).await && repeat("d", 75, 60).await);
    assert_eq!(store.end_family(&FamilyId::new("f"), 61, 62).await.unwrap(), 80, "the access token of the retry");
    assert!(!repeat("d", 80, 60).await, "an ended family allows no retry");
}

#[tokio::test]
async fn tokens_of_an_ended_family_cannot_be_spent_and_it_ends_once() {
    let fresh = fresh().await;
    let store = &fresh.store;
    store.insert_family(&family("f", 100), &token("a")).await.unwrap();
    for now in [40, 41] {
        let until = store.end_family(&FamilyId::new("f"), now, now + 5).await.unwrap();
        assert_eq!(until, 50, "when the last access token expires");
    }
    let under_way = store.end_family(&FamilyId::new("f"), 42, 90).await.unwrap();
    assert_eq!(under_way, 90, "the token of a concurrent refresh expires later");
    assert_eq!(spend(store, "a", "b").await, Spend::TooLate);
    assert!(store.find_refresh_token(&SecretHash::of("a")).await.unwrap().unwrap().family.ended);
    let revocations = store.load_revocations(0).await.unwrap();
    assert_eq!((revocations.len(), revocations[0].expires_at), (1, 50));
}

#[tokio::test]
async fn of_concurrent_callers_one_spends_the_token() {
    let fresh = fresh().await;
    let store = &fresh.store;
    store.insert_family(&family("f", 100), &token("a")).await.unwrap();
    let mut racers = JoinSet::new();
    for index in 0..30 {
        let store = store.clone();
        racers.spawn(async move { spend(&store, "a", &format!("b{index}")).await });
    }
    let wins = racers.join_all().await.into_iter().filter(|spend| *spend == Spend::Spent).count();
    assert_eq!(wins, 1);
}

#[tokio::test]
async fn ended_families_are_deleted_with_their_tokens() {
    let fresh = fresh().await;
    let store = &fresh.store;
    store.insert_family(&family("f", 100), &token("a")).await.unwrap();
    store.insert_family(&family("g", 200), &token("b")).await.unwrap();
    assert_eq!(store.delete_dead_families(150).await.unwrap(), 1);
    assert!(store.find_refresh_token(&SecretHash::of("a")).await.unwrap().is_none());
    assert!(store.find_refresh_token(&SecretHash::of("b")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_shorter_retry_time_applies_to_what_is_already_spent() {
    let fresh = fresh().await;
    let store = &fresh.store;
    let mut api = api("billing");
    api.refresh.retry_s = 120;
    let mut change = store.begin_change(1).await.unwrap();
    change.insert_api(&api).await.unwrap();
    change.commit().await.unwrap();
    store.insert_family(&family("f", 1000), &token("a")).await.unwrap();
    let retry = |until| Some(Retry { salt: [1; 32], until });
    let successor = NewRefreshToken { expires_at: 900, retry: retry(140), ..token("b") };
    let spend = store.spend_refresh_token(&SecretHash::of("a"), &FamilyId::new("f"), &successor).await.unwrap();
    assert_eq!(spend, Spend::Spent);
    let found = async || store.find_refresh_token(&SecretHash::of("a")).await.unwrap().unwrap().retry;
    for (retry_s, until) in [(120, 140), (60, 80), (100, 80), (0, 20)] {
        api.refresh.retry_s = retry_s;
        let mut change = store.begin_change(19).await.unwrap();
        change.update_api(&api).await.unwrap();
        change.commit().await.unwrap();
        assert_eq!(found().await, retry(until), "{retry_s}");
    }
    assert_eq!(store.forget_refresh_retries(20).await.unwrap(), 1);
    assert_eq!(found().await, None);
}
