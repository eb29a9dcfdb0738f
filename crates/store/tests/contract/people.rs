//! Sign-ins, sessions, second factors and the playground's settings, on every engine.

use countersign_protocol::ids::{FamilyId, UserId};
use countersign_protocol::revocation::Revoked;
use countersign_protocol::secret::{Secret, SecretHash};
use countersign_protocol::user::Login;
use countersign_store::{
    MAX_SESSION_TOKENS, NewSecondFactor, NewSession, NewUser, PlaygroundSettings, Progress, Saved, SessionToken,
    SignInKey, SpentCode, Store, StoreError,
};
use countersign_testkit::load_rows;
use tokio::task::JoinSet;

use crate::fresh;

fn user() -> UserId {
    UserId::from_random([1; 16])
}

fn factor(id: &str) -> NewSecondFactor {
    NewSecondFactor {
        id: id.to_owned(),
        user_id: user(),
        kind: "totp",
        sealed_seed: vec![1, 2],
        created_at: 5,
        last_step: 7,
    }
}

fn session(key: &str) -> NewSession {
    NewSession {
        id: format!("ses_{key}"),
        key_hash: SecretHash::of(key),
        user_id: user(),
        user_epoch: 2, // the number of the change that created the user
        created_at: 10,
        expires_at: 100,
        address: "192.0.2.1".to_owned(),
        user_agent: "a browser".to_owned(),
    }
}

fn sign_in(key: &str) -> SignInKey {
    SignInKey { hash: SecretHash::of(key), expires_at: 60 }
}

fn token(number: i64, family: Option<&str>) -> SessionToken {
    SessionToken { token_id: format!("t{number}"), family: family.map(FamilyId::new), expires_at: 50 }
}

async fn insert(store: &Store, session: &NewSession) {
    let mut event = store.begin_event(0).await.unwrap();
    event.insert_session(session).await.unwrap();
    event.commit().await.unwrap();
}

/// Completes a sign-in in one event, which is dropped if it is too late.
async fn complete(store: &Store, sign_in: &SignInKey, code: Option<&SpentCode>, session: &NewSession) -> bool {
    let mut event = store.begin_event(0).await.unwrap();
    let completed = event.complete_sign_in(sign_in, code, session).await.unwrap();
    if completed {
        event.commit().await.unwrap();
    }
    completed
}

async fn with_user() -> (crate::Fresh, Store) {
    let fresh = fresh().await;
    let mut change = fresh.store.begin_change(0).await.unwrap();
    let login = Login::parse("ada").unwrap();
    let new = NewUser { id: user(), login, password_hash: Secret::new("x"), roles: Vec::new() };
    change.insert_user(&new).await.unwrap();
    change.insert_second_factor(&factor("f1")).await.unwrap();
    change.commit().await.unwrap();
    let store = fresh.store.clone();
    (fresh, store)
}

#[tokio::test]
async fn concurrent_completions_of_a_sign_in_create_one_session() {
    let (_fresh, store) = with_user().await;
    let progress = async || store.find_sign_in(&SecretHash::of("s")).await.unwrap();
    assert_eq!(progress().await, Progress::Begun);
    store.pass_password(&sign_in("s")).await.unwrap();
    assert_eq!(progress().await, Progress::PasswordPassed);
    let mut racing = JoinSet::new();
    for index in 0..8 {
        let store = store.clone();
        racing.spawn(async move {
            let new = session(&format!("k{index}"));
            complete(&store, &sign_in("s"), None, &new).await
        });
    }
    let won = racing.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
    assert_eq!(store.list_sessions(&user()).await.unwrap().len(), 1);
    assert_eq!(progress().await, Progress::Ended);
    store.pass_password(&sign_in("s")).await.unwrap();
    assert_eq!(progress().await, Progress::Ended, "for good");
    store.end_sign_in(&sign_in("another")).await.unwrap();
    assert!(!complete(&store, &sign_in("another"), None, &session("k9")).await, "its user has started over");
}

#[tokio::test]
async fn a_code_is_spent_once_across_sign_ins_and_an_older_one_never() {
    let (_fresh, store) = with_user().await;
    let mut racing = JoinSet::new();
    for index in 0..8 {
        let store = store.clone();
        let key = sign_in(&format!("s{index}"));
        racing.spawn(async move {
            let code = SpentCode { factor_id: "f1".to_owned(), step: 8 };
            complete(&store, &key, Some(&code), &session(&format!("k{index}"))).await
        });
    }
    let won = racing.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
    assert_eq!(store.find_second_factor(&user(), "totp").await.unwrap().unwrap().last_step, 8);
    let key = sign_in("late");
    let old = SpentCode { factor_id: "f1".to_owned(), step: 7 };
    assert!(!complete(&store, &key, Some(&old), &session("late")).await);
    assert_eq!(store.find_sign_in(&key.hash).await.unwrap(), Progress::Begun, "both or neither");
}

#[tokio::test]
async fn a_user_has_at_most_one_second_factor_per_kind() {
    let (_fresh, store) = with_user().await;
    let mut change = store.begin_change(0).await.unwrap();
    assert!(matches!(change.insert_second_factor(&factor("f2")).await, Err(StoreError::Taken(_))));
    drop(change);
    assert!(load_rows(&store).await.users[0].value.has_second_factor);
    let mut change = store.begin_change(0).await.unwrap();
    change.delete_second_factors(&user()).await.unwrap();
    change.commit().await.unwrap();
    assert!(store.find_second_factor(&user(), "totp").await.unwrap().is_none());
    assert!(!load_rows(&store).await.users[0].value.has_second_factor);
}

#[tokio::test]
async fn ending_a_session_revokes_the_last_hundred_tokens_requested_through_it() {
    let (_fresh, store) = with_user().await;
    assert!(complete(&store, &sign_in("s"), None, &session("k")).await);
    for number in 1..=MAX_SESSION_TOKENS + 1 {
        assert!(store.keep_session_token("ses_k", &token(number, None)).await.unwrap());
    }
    assert!(store.keep_session_token("ses_k", &token(0, Some("fam"))).await.unwrap());
    let of_older_epoch = NewSession { user_epoch: 1, ..session("old") };
    insert(&store, &of_older_epoch).await;
    assert!(!store.keep_session_token("ses_old", &token(1, None)).await.unwrap(), "the epoch was raised");
    let before = store.read_counters().await.unwrap().change;
    let ended = store.end_session("ses_k", 40, 45).await.unwrap();
    assert_eq!(i64::try_from(ended.len()).unwrap(), MAX_SESSION_TOKENS);
    assert_eq!(ended.first().unwrap().0, Revoked::Token("t3".to_owned()), "the oldest are forgotten");
    assert_eq!(*ended.last().unwrap(), (Revoked::Family(FamilyId::new("fam")), 45));
    let stored = store.load_revocations(before).await.unwrap();
    assert_eq!(stored.len(), ended.len() - 1, "a family that is not stored needs no row");
    assert!(store.find_session(&SecretHash::of("k")).await.unwrap().is_none());
    assert!(!store.keep_session_token("ses_k", &token(1, None)).await.unwrap());
    assert!(store.end_session("ses_k", 41, 46).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_new_password_ends_sessions_and_their_tokens_in_its_own_transaction() {
    let (_fresh, store) = with_user().await;
    insert(&store, &session("k")).await;
    assert!(store.keep_session_token("ses_k", &token(1, None)).await.unwrap());
    let before = store.read_counters().await.unwrap().change;
    let mut change = store.begin_change(40).await.unwrap();
    change.set_password(&user(), &Secret::new("y"), 45).await.unwrap();
    drop(change);
    assert!(store.load_revocations(before).await.unwrap().is_empty(), "all or nothing");
    assert!(store.find_session(&SecretHash::of("k")).await.unwrap().is_some());
    let mut change = store.begin_change(40).await.unwrap();
    change.set_password(&user(), &Secret::new("y"), 45).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(store.load_revocations(before).await.unwrap()[0].revoked, Revoked::Token("t1".to_owned()));
    assert!(store.find_session(&SecretHash::of("k")).await.unwrap().is_none());
}

#[tokio::test]
async fn sessions_record_their_use_and_expire_by_age_or_idleness() {
    let (_fresh, store) = with_user().await;
    for key in ["old", "idle", "young"] {
        let expires_at = if key == "old" { 50 } else { 100 };
        let new = NewSession { expires_at, ..session(key) };
        assert!(complete(&store, &sign_in(key), None, &new).await);
    }
    for key in ["ses_old", "ses_young"] {
        store.touch_session(key, 55, 50).await.unwrap();
        store.touch_session(key, 56, 50).await.unwrap();
    }
    let seen = store.list_sessions(&user()).await.unwrap();
    assert_eq!(seen.iter().map(|one| one.last_seen_at).collect::<Vec<_>>(), [55, 55, 10], "recorded only now and then");
    assert_eq!((seen[0].address.as_str(), seen[0].user_agent.as_str()), ("192.0.2.1", "a browser"));
    assert_eq!(store.delete_expired_sessions(60, 20).await.unwrap(), 2);
    assert_eq!(store.list_sessions(&user()).await.unwrap()[0].id, "ses_young");
    assert_eq!(store.delete_expired_sign_ins(60).await.unwrap(), 0);
    assert_eq!(store.delete_expired_sign_ins(61).await.unwrap(), 3);
}

#[tokio::test]
async fn settings_are_saved_by_version_and_keep_a_secret_that_is_omitted() {
    let (_fresh, store) = with_user().await;
    let settings = |version, client: &str, secret: Option<Vec<u8>>| PlaygroundSettings {
        version,
        api_id: "a".to_owned(),
        client_id: client.to_owned(),
        sealed_client_secret: secret,
        scope: "x y".to_owned(),
    };
    let save = async |settings: PlaygroundSettings, anyway: bool| {
        let mut change = store.begin_change(0).await.unwrap();
        let saved = change.save_playground_settings(&settings, anyway).await.unwrap();
        if matches!(saved, Saved::As(_)) {
            change.commit().await.unwrap();
        }
        saved
    };
    let found = async || load_rows(&store).await.keys.playground;
    assert_eq!(found().await.version, 0);
    assert_eq!(save(settings(0, "one", Some(vec![9])), false).await, Saved::As(1));
    assert_eq!(save(settings(0, "two", None), false).await, Saved::Conflict(1));
    assert_eq!(found().await.client_id, "one");
    assert_eq!(save(settings(0, "two", None), true).await, Saved::As(2));
    let found = found().await;
    assert_eq!((found.client_id.as_str(), found.sealed_client_secret), ("two", Some(vec![9])));
}
