//! The change counter gives all changes one order.

use countersign_protocol::revocation::Revoked;
use countersign_store::Store;
use tokio::task::JoinSet;

use crate::fresh;

#[tokio::test]
async fn each_change_gets_its_own_number_unless_it_is_dropped() {
    let fresh = fresh().await;
    let store = &fresh.store;
    let before = store.read_counters().await.unwrap();
    drop(store.begin_change(0).await.unwrap());
    assert_eq!(store.read_counters().await.unwrap(), before);
    let mut racers = JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        racers.spawn(async move {
            let change = store.begin_change(0).await.unwrap();
            let number = change.number();
            change.commit().await.unwrap();
            number
        });
    }
    let mut numbers = racers.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, (before.change + 1..=before.change + 20).collect::<Vec<_>>());
    let after = store.read_counters().await.unwrap();
    assert_eq!((after.change, after.registry_change), (before.change + 20, before.change + 20));
}

#[tokio::test]
async fn a_revocation_is_a_change_but_not_of_the_registry() {
    let fresh = fresh().await;
    let store = &fresh.store;
    let before = store.read_counters().await.unwrap();
    store.revoke(&Revoked::Token("a".to_owned()), 100).await.unwrap();
    let after = store.read_counters().await.unwrap();
    assert_eq!((after.change, after.registry_change), (before.change + 1, before.registry_change));
}

#[tokio::test]
async fn nodes_that_start_concurrently_migrate_once() {
    let fresh = fresh().await;
    let mut nodes = JoinSet::new();
    for _ in 0..6 {
        let url = fresh.url.clone();
        nodes.spawn(async move { Store::open(&url).await.map(|_| ()) });
    }
    assert!(nodes.join_all().await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn the_first_claim_of_a_setting_wins() {
    let fresh = fresh().await;
    let store = &fresh.store;
    assert_eq!(store.find_setting("a").await.unwrap(), None);
    assert_eq!(store.claim_setting("a", "first").await.unwrap(), "first");
    assert_eq!(store.claim_setting("a", "second").await.unwrap(), "first");
    assert_eq!(store.find_setting("a").await.unwrap().as_deref(), Some("first"));
}
