//! Nodes load the revocations that they have not read yet. Expired ones are deleted.

use countersign_protocol::ids::FamilyId;
use countersign_protocol::jose::jwk::KeyId;
use countersign_protocol::revocation::Revoked;

use crate::fresh;

#[tokio::test]
async fn newer_revocations_are_loaded_and_expired_ones_deleted() {
    let fresh = fresh().await;
    let store = &fresh.store;
    let revoked = [Revoked::Token("t".to_owned()), Revoked::Family(FamilyId::new("t")), Revoked::Key(KeyId::new("t"))];
    let mut seen = Vec::new();
    for (index, revoked) in revoked.iter().enumerate() {
        seen.push(store.read_counters().await.unwrap().change);
        store.revoke(revoked, 100 + i64::try_from(index).unwrap()).await.unwrap();
    }
    for (index, after) in seen.iter().enumerate() {
        let loaded = store.load_revocations(*after).await.unwrap();
        assert_eq!(loaded.len(), 3 - index);
        assert!(loaded.iter().any(|loaded| loaded.revoked == revoked[index]));
    }
    store.revoke(&revoked[0], 500).await.unwrap();
    assert_eq!(store.load_revocations(0).await.unwrap().len(), 3, "revoking again changes nothing");
    assert_eq!(store.delete_expired_revocations(101).await.unwrap(), 1);
    assert_eq!(store.load_revocations(0).await.unwrap().len(), 2);
}
