//! Failed passwords and one-time codes, and known devices, on every engine.

use countersign_protocol::ids::UserId;
use countersign_protocol::secret::Secret;
use countersign_protocol::status::Status;
use countersign_protocol::user::Login;
use countersign_store::{DeviceKind, KnownDevice, NewPasswordFailure, NewSuccess, NewUser, PasswordFailures, Store};

use crate::fresh;

const NAME: [u8; 32] = [7; 32];

fn user() -> UserId {
    UserId::from_random([1; 16])
}

async fn add_user(store: &Store) {
    let mut change = store.begin_change(0).await.unwrap();
    let login = Login::parse("ada").unwrap();
    let new = NewUser { id: user(), login, password_hash: Secret::new("x"), roles: Vec::new() };
    change.insert_user(&new).await.unwrap();
    change.commit().await.unwrap();
}

fn failure(known_device: Option<u8>, now: i64) -> NewPasswordFailure {
    let known_device = known_device.map(|number| vec![number; 32]);
    NewPasswordFailure { name_mac: NAME.to_vec(), user_id: Some(user()), known_device, now, window_s: 900 }
}

fn success(device: u8, presented: Option<u8>, kind: DeviceKind, now: i64) -> NewSuccess {
    NewSuccess {
        name_mac: NAME.to_vec(),
        user_id: user(),
        device_mac: vec![device; 32],
        kind,
        presented_mac: presented.map(|number| vec![number; 32]),
        known_since: now - 1000,
        now,
    }
}

fn browser(last_success_at: i64, failures: i64, began_at: i64) -> Option<KnownDevice> {
    Some(KnownDevice { last_success_at, failures, began_at, kind: DeviceKind::Browser })
}

#[tokio::test]
async fn failures_add_up_until_a_success_and_raise_no_counter() {
    let fresh = fresh().await;
    let store = &fresh.store;
    add_user(store).await;
    let before = store.read_counters().await.unwrap();
    for now in [10, 20] {
        store.add_password_failure(&failure(None, now)).await.unwrap();
    }
    let sum = store.add_password_failure(&failure(Some(1), 30)).await.unwrap();
    assert_eq!((sum.failures, sum.unknown_failures), (3, 2));
    let stored = PasswordFailures { failures: 3, unknown_failures: 2, last_unknown_at: 20 };
    assert_eq!(store.find_password_failures(&NAME).await.unwrap(), stored);
    let summary = store.summarize_failures(&user(), &NAME, 0).await.unwrap();
    assert_eq!((summary.failures, summary.last_failure_at, summary.known_devices), (stored, Some(30), 0));
    store.add_success(&success(1, None, DeviceKind::Browser, 40)).await.unwrap();
    assert_eq!(store.find_password_failures(&NAME).await.unwrap(), PasswordFailures::default());
    store.add_password_failure(&failure(None, 50)).await.unwrap();
    store.add_success(&success(1, Some(1), DeviceKind::Browser, 60)).await.unwrap();
    let still = PasswordFailures { failures: 0, unknown_failures: 1, last_unknown_at: 50 };
    assert_eq!(
        store.find_password_failures(&NAME).await.unwrap(),
        still,
        "a known device does not reset the failures of others"
    );
    store.add_success(&success(1, Some(1), DeviceKind::Browser, 1060)).await.unwrap();
    assert_eq!(
        store.find_password_failures(&NAME).await.unwrap(),
        PasswordFailures::default(),
        "no longer known by then"
    );
    assert_eq!(store.summarize_failures(&user(), &NAME, 39).await.unwrap().known_devices, 1);
    assert_eq!(store.read_counters().await.unwrap(), before);
}

#[tokio::test]
async fn a_known_device_has_its_own_window() {
    let fresh = fresh().await;
    let store = &fresh.store;
    add_user(store).await;
    store.add_success(&success(1, None, DeviceKind::Browser, 1000)).await.unwrap();
    for now in [1010, 1020] {
        store.add_password_failure(&failure(Some(1), now)).await.unwrap();
    }
    let found = async |number: u8| store.find_device(&[number; 32]).await.unwrap();
    assert_eq!(found(1).await, browser(1000, 2, 1010));
    store.add_password_failure(&failure(Some(1), 1910)).await.unwrap();
    assert_eq!(found(1).await, browser(1000, 1, 1910));
    store.add_success(&success(2, None, DeviceKind::Client, 1920)).await.unwrap();
    store.add_success(&success(1, Some(1), DeviceKind::Browser, 1930)).await.unwrap();
    assert_eq!(found(1).await, browser(1930, 0, 0));
    for number in 10..40 {
        store.add_success(&success(number, None, DeviceKind::Browser, i64::from(number) * 1000)).await.unwrap();
    }
    assert!(found(19).await.is_none() && found(20).await.is_some() && found(2).await.is_some(), "twenty browsers");
    let set_status = async |status| {
        let mut change = store.begin_change(0).await.unwrap();
        change.set_user_status(&user(), status).await.unwrap();
        change.commit().await.unwrap();
    };
    set_status(Status::Active).await;
    assert!(found(20).await.is_some(), "nothing changed");
    set_status(Status::Disabled).await;
    assert!(
        found(20).await.is_none() && found(2).await.is_some(),
        "browsers are forgotten with the epoch, clients are not"
    );
}

#[tokio::test]
async fn a_browser_has_two_rows_counts_once_and_evicts_nobody() {
    let fresh = fresh().await;
    let store = &fresh.store;
    add_user(store).await;
    let sign_in = async |device, presented, now| {
        store.add_success(&success(device, presented, DeviceKind::Browser, now)).await.unwrap();
    };
    let rows = async |numbers: std::ops::Range<u8>| {
        let mut found = Vec::new();
        for number in numbers {
            found.extend(store.find_device(&[number; 32]).await.unwrap().map(|_| number));
        }
        found
    };
    let count = async || store.summarize_failures(&user(), &NAME, 0).await.unwrap().known_devices;
    sign_in(200, None, 1000).await;
    sign_in(0, None, 1001).await;
    for number in 1..50 {
        sign_in(number, Some(number - 1), 1001 + i64::from(number)).await;
    }
    assert_eq!((rows(0..50).await, rows(200..201).await), (vec![48, 49], vec![200]));
    assert_eq!(count().await, 2);

    // Responses with new cookies are lost, so the browser presents the same cookie again.
    for number in 50..53 {
        sign_in(number, Some(49), 1100).await;
    }
    assert_eq!((rows(0..60).await, count().await), (vec![49, 52], 2));
    sign_in(53, Some(52), 1110).await;
    assert_eq!(rows(0..60).await, [52, 53], "the last response arrived");
    sign_in(54, Some(60), 1120).await;
    assert_eq!((rows(0..61).await, count().await), (vec![52, 53, 54], 3), "the cookie that it presented is unknown");

    // Twenty browsers, each with its previous row.
    for number in (100..138).step_by(2) {
        sign_in(number, None, 1200 + i64::from(number)).await;
        sign_in(number + 1, Some(number), 1200 + i64::from(number)).await;
    }
    assert_eq!(count().await, 20);
    let newest: Vec<u8> = std::iter::once(54).chain(100..138).collect();
    assert_eq!(
        (rows(0..140).await, rows(200..201).await),
        (newest, vec![]),
        "both rows of a browser are deleted together"
    );
}

#[tokio::test]
async fn clients_have_their_own_limit() {
    let fresh = fresh().await;
    let store = &fresh.store;
    add_user(store).await;
    store.add_success(&success(255, None, DeviceKind::Browser, 1)).await.unwrap();
    for number in 0..=200 {
        store.add_success(&success(number, Some(number), DeviceKind::Client, 10 + i64::from(number))).await.unwrap();
    }
    let is_known = async |number: u8| store.find_device(&[number; 32]).await.unwrap().is_some();
    assert!(!is_known(0).await && is_known(1).await && is_known(255).await, "two hundred clients and the browser");
    store.add_success(&success(1, Some(1), DeviceKind::Client, 500)).await.unwrap();
    assert!(is_known(1).await && is_known(2).await, "a known client replaces no other");
    assert_eq!(store.summarize_failures(&user(), &NAME, 0).await.unwrap().known_devices, 201);
}

#[tokio::test]
async fn codes_are_counted_in_windows_by_source() {
    let fresh = fresh().await;
    let store = &fresh.store;
    add_user(store).await;
    let add = async |source: &'static str, now| {
        store.add_code_failure(&user(), &[(source, 900), ("", 86_400)], now).await.unwrap();
    };
    let found = async |source: &'static str| store.find_code_failures(&user(), source).await.unwrap();
    add("192.0.2.1", 1000).await;
    add("192.0.2.2", 1010).await;
    add("192.0.2.1", 1900).await;
    assert_eq!((found("192.0.2.1").await, found("192.0.2.2").await), ((1, 1900), (1, 1010)));
    assert_eq!(found("").await, (3, 1000));
    store.delete_old_failures(0, 1500, 10).await.unwrap();
    assert_eq!((found("192.0.2.1").await, found("").await), ((1, 1900), (0, 0)));
}

#[tokio::test]
async fn names_without_a_user_are_limited_and_users_are_never_forgotten() {
    let fresh = fresh().await;
    let store = &fresh.store;
    add_user(store).await;
    store.add_password_failure(&failure(None, 1)).await.unwrap();
    for number in [0, 1, 1, 2, 3, 4u8] {
        let unknown = NewPasswordFailure { name_mac: vec![number; 32], user_id: None, ..failure(None, 10) };
        let now = 10 + i64::from(number);
        store.add_password_failure(&NewPasswordFailure { now, ..unknown }).await.unwrap();
    }
    store.delete_old_failures(0, 0, 2).await.unwrap();
    let failures = async |number: u8| store.find_password_failures(&[number; 32]).await.unwrap().failures;
    assert_eq!(
        (failures(1).await, failures(3).await, failures(4).await),
        (2, 0, 1),
        "the ones with most failures, then the newest"
    );
    assert_eq!(failures(7).await, 1);
    let gone = NewPasswordFailure { user_id: UserId::parse("usr_gone"), ..failure(None, 9) };
    store.add_password_failure(&gone).await.unwrap();
    let mut change = store.begin_change(20).await.unwrap();
    change.forget_failures(&user(), &NAME).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(failures(7).await, 0);
}
