//! What is written can be read back.

use countersign_protocol::api::{Api, RefreshPolicy, ScopeDefinition};
use countersign_protocol::audience::Audience;
use countersign_protocol::client::{ClientAuthMethod, Credential, Entitlement};
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::ids::{ApiId, ClientId, UserId};
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::path_rule::PathRule;
use countersign_protocol::scope::Scope;
use countersign_protocol::scope_token::ScopeToken;
use countersign_protocol::secret::{Secret, SecretHash};
use countersign_protocol::status::Status;
use countersign_protocol::user::{Login, Role};
use countersign_store::{KeyState, NewClient, NewSecondFactor, NewUser, Store, StoreError};
use countersign_testkit::load_rows;

use crate::fresh;

pub(crate) fn api(id: &str) -> Api {
    let rules = ["GET /a(/.*)?", "POST,PUT /b|/c"].map(|rule| PathRule::parse(rule).unwrap()).to_vec();
    let scope = |name: &str, is_default| ScopeDefinition {
        token: ScopeToken::parse(name).unwrap(),
        description: "Lies über alles".to_owned(),
        rules: rules.clone(),
        is_default,
    };
    Api {
        id: ApiId::parse(id).unwrap(),
        audience: Audience::parse(&format!("https://{id}.example")).unwrap(),
        name: "Ein Name".to_owned(),
        scopes: vec![scope("a", true), scope("b", false)],
        grants: GrantType::ALL.into_iter().collect(),
        access_token_lifetime_s: 600,
        algorithm: Algorithm::EdDsa,
        refresh: RefreshPolicy { idle_s: 1, absolute_s: 2, retry_s: 3 },
        epoch: 0,
        removals: Box::default(),
    }
}

pub(crate) fn new_client(id: &str) -> NewClient {
    NewClient {
        id: ClientId::parse(id).unwrap(),
        name: "Job".to_owned(),
        owner: "ops@example.com".to_owned(),
        auth_methods: [ClientAuthMethod::ClientSecretPost].into_iter().collect(),
    }
}

fn new_user(login: &str) -> NewUser {
    NewUser {
        id: UserId::from_random([login.len().try_into().unwrap(); 16]),
        login: Login::parse(login).unwrap(),
        password_hash: Secret::new("hash"),
        roles: vec![Role::Administrator],
    }
}

pub(crate) fn credential(id: &str, expires_at: Option<i64>) -> Credential {
    let secret_hash = SecretHash::of(id);
    Credential { id: id.to_owned(), label: "new".to_owned(), secret_hash, not_before: 7, expires_at }
}

async fn fill(store: &Store) -> i64 {
    let mut change = store.begin_change(0).await.unwrap();
    let job = new_client("job");
    change.insert_api(&api("billing")).await.unwrap();
    change.insert_client(&job).await.unwrap();
    for credential in [credential("c1", None), credential("c2", Some(9))] {
        change.insert_credential(&job.id, &credential).await.unwrap();
    }
    let what =
        Entitlement { scopes: Scope::parse("a b").unwrap(), grants: [GrantType::Password].into_iter().collect() };
    let billing = ApiId::parse("billing").unwrap();
    change.allow_ask(&job.id, &billing, &Entitlement::default()).await.unwrap();
    change.allow_ask(&job.id, &billing, &what).await.unwrap();
    change.allow_introspect(&job.id, &billing).await.unwrap();
    change.insert_user(&new_user("Ada")).await.unwrap();
    change.insert_key("k1", Algorithm::Es256, KeyState::Active, &[0, 1, 255]).await.unwrap();
    let number = change.number();
    change.commit().await.unwrap();
    number
}

#[tokio::test]
async fn everything_reads_back_as_written() {
    let fresh = fresh().await;
    let store = &fresh.store;
    let number = fill(store).await;
    let rows = load_rows(store).await;
    assert!(rows.counters.registry_change >= number);
    let expected = Api { epoch: number, ..api("billing") };
    assert_eq!(format!("{:?}", rows.apis[0].value), format!("{expected:?}"));
    assert_eq!((rows.apis[0].note.created_change, rows.clients[0].note.owner.as_str()), (number, "ops@example.com"));
    let client = &rows.clients[0].value;
    assert_eq!((client.id.as_str(), client.epoch, client.status), ("job", number, Status::Active));
    assert!(client.auth_methods.iter().eq([ClientAuthMethod::ClientSecretPost]));
    assert_eq!(
        format!("{:?}", client.credentials),
        format!("{:?}", [credential("c1", None), credential("c2", Some(9))])
    );
    assert!(client.credentials[0].secret_hash.matches(&SecretHash::of("c1")));
    assert_eq!(client.may_ask.len(), 1);
    assert_eq!(client.may_ask[0].1.scopes.to_string(), "a b");
    assert_eq!(client.may_introspect, [ApiId::parse("billing").unwrap()]);
    let user = &rows.users[0].value;
    assert_eq!((user.login.as_str(), user.epoch, user.has_second_factor), ("Ada", number, false));
    assert_eq!(user.roles, [Role::Administrator]);
    assert_eq!((rows.keys.keys[0].id.as_str(), rows.keys.keys[0].sealed_pkcs8.as_slice()), ("k1", &[0, 1, 255][..]));
    let password = store.find_password("aDA").await.unwrap().unwrap();
    assert_eq!((password.user_id, password.password_hash.expose()), (user.id.clone(), "hash"));
    assert!(store.find_password("nobody").await.unwrap().is_none());
}

#[tokio::test]
async fn a_duplicate_is_refused_and_its_whole_change_is_rolled_back() {
    let fresh = fresh().await;
    let store = &fresh.store;
    fill(store).await;
    let before = store.read_counters().await.unwrap();
    let taken = |result: Result<(), StoreError>| assert!(matches!(result, Err(StoreError::Taken(_))), "{result:?}");
    taken(store.begin_change(0).await.unwrap().insert_client(&new_client("JOB")).await);
    taken(store.begin_change(0).await.unwrap().insert_client(&new_client("ada")).await);
    taken(store.begin_change(0).await.unwrap().insert_user(&new_user("Job")).await);
    taken(store.begin_change(0).await.unwrap().insert_api(&api("billing")).await);
    let same_audience = Api { id: ApiId::parse("other").unwrap(), ..api("billing") };
    taken(store.begin_change(0).await.unwrap().insert_api(&same_audience).await);
    taken(store.begin_change(0).await.unwrap().insert_key("k2", Algorithm::Es256, KeyState::Active, &[1]).await);
    assert_eq!(store.read_counters().await.unwrap(), before);
    let rows = load_rows(store).await;
    assert_eq!((rows.clients.len(), rows.users.len(), rows.apis.len(), rows.keys.keys.len()), (1, 1, 1, 1));
}

#[tokio::test]
async fn updates_read_back_and_epochs_are_change_numbers() {
    let fresh = fresh().await;
    let store = &fresh.store;
    let first = fill(store).await;
    let (job, ada) = (ClientId::parse("job").unwrap(), store.find_password("ada").await.unwrap().unwrap().user_id);
    let mut change = store.begin_change(0).await.unwrap();
    change.raise_client_epoch(&job).await.unwrap();
    change.set_client_status(&job, Status::Disabled).await.unwrap();
    change.set_password(&ada, &Secret::new("another"), 0).await.unwrap();
    let (id, user_id, sealed_seed) = ("f1".to_owned(), ada.clone(), vec![1]);
    let factor = NewSecondFactor { id, user_id, kind: "totp", sealed_seed, created_at: 0, last_step: 0 };
    change.insert_second_factor(&factor).await.unwrap();
    change.delete_credentials(&job).await.unwrap();
    change.set_audience(&ApiId::parse("billing").unwrap(), &Audience::parse("urn:x").unwrap()).await.unwrap();
    let second = change.number();
    change.commit().await.unwrap();
    assert!(second > first);
    let rows = load_rows(store).await;
    assert_eq!((rows.clients[0].value.epoch, rows.clients[0].value.status), (second, Status::Disabled));
    assert!(rows.clients[0].value.credentials.is_empty());
    assert_eq!((rows.users[0].value.epoch, rows.users[0].value.has_second_factor), (second, true));
    assert_eq!(rows.apis[0].value.audience.as_str(), "urn:x");
    let mut change = store.begin_change(0).await.unwrap();
    change.delete_client(&job).await.unwrap();
    change.insert_client(&new_client("Job")).await.unwrap();
    change.commit().await.unwrap();
    let rows = load_rows(store).await;
    assert_eq!(rows.clients.len(), 1);
    assert!(rows.clients[0].value.epoch > second && rows.clients[0].value.may_ask.is_empty());
}
