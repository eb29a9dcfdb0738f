//! Heartbeats, where several nodes can share the database.

use crate::fresh;

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_node_is_listed_until_it_ends_or_sends_no_heartbeat_for_long() {
    let fresh = fresh().await;
    let store = &fresh.store;
    let before = store.read_counters().await.unwrap();
    store.beat("a", 7, &["first", "second"]).await.unwrap();
    store.beat("b", 3, &["first", "second"]).await.unwrap();
    // An older heartbeat that arrives late must not overwrite a newer one.
    store.beat("a", 6, &["first", "second"]).await.unwrap();
    let known = store.list_nodes().await.unwrap();
    let read: Vec<_> = known.iter().map(|node| (node.id.as_str(), node.registry_change)).collect();
    assert_eq!(read, [("a", 7), ("b", 3)]);
    assert_eq!(known[0].sealing_keys, ["first", "second"]);
    assert!(known.iter().all(|node| (0..5000).contains(&node.silent_ms)), "{known:?}");
    assert_eq!(store.read_counters().await.unwrap(), before, "no node reloads anything");

    store.delete_node("a").await.unwrap();
    assert_eq!(store.delete_silent_nodes(60_000).await.unwrap(), 0);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    store.beat("c", 1, &["first", "second"]).await.unwrap();
    assert_eq!(store.delete_silent_nodes(200).await.unwrap(), 1);
    let left: Vec<String> = store.list_nodes().await.unwrap().into_iter().map(|node| node.id).collect();
    assert_eq!(left, ["c"]);
}

#[tokio::test]
async fn a_heartbeat_writes_nothing_on_sqlite() {
    let fresh = fresh().await;
    fresh.store.beat("a", 7, &["first", "second"]).await.unwrap();
    assert_eq!(fresh.store.list_nodes().await.unwrap(), []);
    assert_eq!(fresh.store.delete_silent_nodes(0).await.unwrap(), 0);
}
