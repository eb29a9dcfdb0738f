//! Writes that wait for the same connection share a commit, but not their outcome.

use countersign_protocol::ids::FamilyId;
use countersign_protocol::revocation::Revoked;
use countersign_protocol::secret::SecretHash;
use countersign_store::{Spend, Store, StoreError};
use tokio::task::JoinSet;

use crate::fresh;
use crate::refresh_tokens::{family, token};

const MANY: usize = 250;

fn revoked(index: usize) -> Revoked {
    Revoked::Token(format!("t{index}"))
}

async fn is_stored(store: &Store, wanted: &Revoked) -> bool {
    store.load_revocations(0).await.unwrap().iter().any(|stored| stored.revoked == *wanted)
}

#[tokio::test]
async fn concurrent_revocations_are_all_stored_in_fewer_commits() {
    let fresh = fresh().await;
    let store = &fresh.store;
    let before = store.read_counters().await.unwrap().change;
    let mut revoking = JoinSet::new();
    for index in 0..MANY {
        let store = store.clone();
        revoking.spawn(async move { store.revoke(&revoked(index), 100).await });
    }
    assert!(revoking.join_all().await.iter().all(Result::is_ok));
    assert_eq!(store.load_revocations(before).await.unwrap().len(), MANY, "all are newer than the earlier change");
    let commits = store.read_counters().await.unwrap().change - before;
    let single = i64::try_from(MANY).unwrap();
    match fresh.url.sqlite_file() {
        Some(_) => assert!(commits < single / 2, "{commits}"),
        None => assert_eq!(commits, single),
    }
}

#[tokio::test]
async fn a_write_that_fails_does_not_affect_the_others() {
    let fresh = fresh().await;
    let store = &fresh.store;
    for name in ["f", "g", "h"] {
        store.insert_family(&family(name, 100), &token(name)).await.unwrap();
    }
    let spend = async |name: &str, successor: &str| {
        store.spend_refresh_token(&SecretHash::of(name), &FamilyId::new(name), &token(successor)).await
    };
    // The successor of the second one exists already.
    let token = revoked(0);
    let (first, second, third, fourth) =
        tokio::join!(spend("f", "f2"), spend("g", "h"), spend("h", "h2"), store.revoke(&token, 100));
    assert_eq!((first.unwrap(), third.unwrap()), (Spend::Spent, Spend::Spent));
    assert!(matches!(second, Err(StoreError::Taken(_))), "{second:?}");
    assert!(fourth.is_ok() && is_stored(store, &token).await);
    assert!(
        store.find_refresh_token(&SecretHash::of("g")).await.unwrap().unwrap().spent_at.is_none(),
        "both or neither"
    );
}

#[tokio::test]
async fn a_write_refused_while_the_database_is_locked_is_not_written_later() {
    let fresh = fresh().await;
    let (store, other) = (&fresh.store, Store::open(&fresh.url).await.unwrap());
    let held = other.begin_change(0).await.unwrap();
    let mut revoking = JoinSet::new();
    for index in 0..MANY {
        let store = store.clone();
        revoking.spawn(async move { store.revoke(&revoked(index), 100).await });
    }
    for refused in revoking.join_all().await {
        assert!(matches!(refused, Err(StoreError::Unavailable(..))), "{refused:?}");
    }
    drop(held);
    store.revoke(&revoked(MANY), 100).await.unwrap();
    assert_eq!(store.load_revocations(0).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_canceled_write_leaves_nobody_waiting_and_acknowledged_writes_are_stored() {
    let fresh = fresh().await;
    let store = &fresh.store;
    let mut revoking: Vec<_> = (0..MANY)
        .map(|index| {
            let store = store.clone();
            tokio::spawn(async move { store.revoke(&revoked(index), 100).await })
        })
        .collect();
    tokio::task::yield_now().await;
    // The first one is writing for the others by now.
    revoking.iter().step_by(3).for_each(tokio::task::JoinHandle::abort);
    for (index, task) in revoking.drain(..).enumerate() {
        match task.await {
            Ok(done) => {
                done.unwrap();
                assert!(is_stored(store, &revoked(index)).await, "{index}");
            }
            Err(aborted) => assert!(aborted.is_cancelled() && index % 3 == 0, "{index}: {aborted}"),
        }
    }
    store.revoke(&revoked(MANY), 100).await.unwrap();
}
