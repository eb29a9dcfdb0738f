//! The ID of a database, and its file.

use countersign_store::Store;
use tokio::task::JoinSet;

use crate::fresh;

#[tokio::test]
async fn concurrent_nodes_claim_one_database_id_until_a_restore_renews_it() {
    let fresh = fresh().await;
    assert_eq!(fresh.store.find_database_id().await.unwrap(), None);
    let mut naming = JoinSet::new();
    for node in 0..8 {
        let store = Store::open(&fresh.url).await.unwrap();
        naming.spawn(async move { store.claim_database_id(&format!("id {node}")).await.unwrap() });
    }
    let ids = naming.join_all().await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(fresh.store.find_database_id().await.unwrap().as_ref(), Some(&ids[0]));
    let mut change = fresh.store.begin_change(1).await.unwrap();
    change.renew_database_id("restored").await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(fresh.store.claim_database_id("later").await.unwrap(), "restored");
}

#[tokio::test]
async fn an_empty_database_is_recognized_and_not_touched() {
    let fresh = fresh().await;
    assert!(Store::open_unless_empty(&fresh.url).await.unwrap().is_some());
    let empty = crate::empty();
    for _ in 0..2 {
        assert!(Store::open_unless_empty(&empty.1).await.unwrap().is_none());
    }
    assert!(empty.1.sqlite_file().is_none_or(|file| !file.exists()));
}

#[tokio::test]
async fn a_replaced_file_is_neither_written_nor_opened_on_sqlite() {
    let fresh = fresh().await;
    let file = fresh.url.sqlite_file().unwrap();
    let kept = file.with_extension("kept");
    assert!(!fresh.store.is_file_lost() && fresh.store.look_at_file().is_none());
    std::fs::rename(&file, &kept).unwrap();
    assert!(fresh.store.begin_change(1).await.is_err());
    std::fs::write(&file, "another").unwrap();
    assert!(
        fresh.store.look_at_file().unwrap().unwrap_err().contains(": this is no longer the file that was opened; ")
    );
    assert!(fresh.store.is_file_lost() && fresh.store.look_at_file().is_none(), "it is reported once");
    assert!(fresh.store.begin_change(1).await.is_err());
    // No connection was open yet. A new one must not read the other file.
    assert!(fresh.store.read_counters().await.is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"another");
    std::fs::rename(&kept, &file).unwrap();
    assert!(fresh.store.look_at_file().unwrap().is_ok() && !fresh.store.is_file_lost());
    fresh.store.begin_change(1).await.unwrap().commit().await.unwrap();
}
