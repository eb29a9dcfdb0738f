//! Concurrent uses and tokens add up. Those of deleted credentials are skipped.

use countersign_store::{CredentialUse, Store, TokenCount, TokenCountQuery};

use crate::fresh;
use crate::registry::{credential, new_client};

/// More than one statement takes, and not a multiple of that.
const MANY: usize = 23;

fn id(index: usize) -> String {
    format!("c{index:02}")
}

/// Uses of [`MANY`] credentials and of one that does not exist, in reverse order, each with its tokens.
async fn add(store: &Store, last_used_at: i64, address: &str) {
    let ids = (0..MANY).map(id).chain(["gone".to_owned()]).rev();
    let address = address.to_owned();
    let uses =
        ids.map(|credential_id| CredentialUse { credential_id, last_used_at, count: 2, address: address.clone() });
    let tokens = |index| TokenCount {
        hour: 7200,
        client_id: "job".to_owned(),
        credential_id: id(index),
        api_id: "billing".to_owned(),
        grant_type: "client_credentials".to_owned(),
        tokens: 1,
    };
    store.add_uses(uses.collect(), (0..MANY).rev().map(tokens).collect()).await.unwrap();
}

#[tokio::test]
async fn uses_of_many_credentials_add_up_and_the_last_one_sets_the_address() {
    let fresh = fresh().await;
    let store = &fresh.store;
    let job = new_client("job");
    let mut change = store.begin_change(0).await.unwrap();
    change.insert_client(&job).await.unwrap();
    for index in 0..MANY {
        change.insert_credential(&job.id, &credential(&id(index), None)).await.unwrap();
    }
    change.commit().await.unwrap();
    add(store, 20, "192.0.2.2").await;
    add(store, 10, "192.0.2.1").await;
    store.add_uses(Vec::new(), Vec::new()).await.unwrap();
    let histories = store.list_credential_histories(&job.id).await.unwrap();
    assert_eq!(histories.len(), MANY);
    for (index, history) in histories.into_iter().enumerate() {
        let (credential_id, address) = (id(index), "192.0.2.2".to_owned());
        assert_eq!(history.uses, Some(CredentialUse { credential_id, last_used_at: 20, count: 4, address }));
    }
    let all = TokenCountQuery { client_id: None, from: 0, to: 10_000, limit: 100, offset: 0 };
    let counts = store.list_token_counts(&all).await.unwrap();
    let seen: Vec<_> = counts.into_iter().map(|count| (count.credential_id, count.tokens)).collect();
    assert_eq!(seen, (0..MANY).map(|index| (id(index), 2)).collect::<Vec<_>>());
}
