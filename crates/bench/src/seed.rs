//! What is registered before the measurement: an API per algorithm, and clients with known secrets.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_protocol::api::{Api, RefreshPolicy, ScopeDefinition};
use countersign_protocol::audience::Audience;
use countersign_protocol::client::{ClientAuthMethod, Credential, Entitlement, TokenLimits};
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::ids::{ApiId, ClientId, FamilyId, UserId};
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::path_rule::PathRule;
use countersign_protocol::refresh_token::RefreshFamily;
use countersign_protocol::scope::Scope;
use countersign_protocol::scope_token::ScopeToken;
use countersign_protocol::secret::{CLIENT_SECRET_PREFIX, REFRESH_TOKEN_PREFIX, Secret};
use countersign_protocol::user::Login;
use countersign_store::{Change, DatabaseUrl, NewClient, NewRefreshToken, NewUser, Store};

use crate::{Outcome, watch};

const SCOPES: [&str; 2] = ["reports:read", "reports:write"];

/// Registers an API per algorithm, and clients that use them in turn: client 0 the first, client 1 the second …
pub(crate) async fn registry(directory: &Path, algorithms: &[Algorithm], clients: usize) -> Outcome<()> {
    let store = open(directory).await?;
    let mut change = store.begin_change(0).await?;
    for algorithm in algorithms {
        change.insert_api(&api(*algorithm)?).await?;
    }
    for (index, algorithm) in (0..clients).zip(algorithms.iter().cycle()) {
        insert_client(&mut change, index, *algorithm).await?;
    }
    change.commit().await?;
    store.close().await;
    Ok(())
}

/// Sets limits for a client that it does not reach.
pub(crate) async fn limit(directory: &Path, index: usize) -> Outcome<()> {
    let store = open(directory).await?;
    let mut change = store.begin_change(0).await?;
    let limits = TokenLimits { per_minute: Some(1_000_000_000), per_day: Some(1_000_000_000) };
    change.set_client_limits(&client_id(index)?, limits).await?;
    change.commit().await?;
    store.close().await;
    Ok(())
}

/// Creates refresh families of client 0 for a user of this API. Returns the first token of each.
pub(crate) async fn families(directory: &Path, algorithm: Algorithm, count: usize) -> Outcome<Vec<String>> {
    let store = open(directory).await?;
    let user_id = UserId::from_random(random(0));
    let login = Login::parse("resource-owner").ok_or("invalid login name")?;
    // Nobody signs in, so the hash matches no password.
    let user = NewUser { id: user_id.clone(), login, password_hash: Secret::new("none"), roles: Vec::new() };
    let mut change = store.begin_change(0).await?;
    let change_number = change.number();
    change.insert_user(&user).await?;
    change.commit().await?;
    let now = watch::unix_s();
    let mut tokens = Vec::new();
    for index in 0..count {
        let secret = Secret::from_random(REFRESH_TOKEN_PREFIX, &random(index));
        let family = RefreshFamily {
            id: FamilyId::from_random(&random(index)),
            client_id: client_id(0)?,
            user_id: user_id.clone(),
            api_id: api(algorithm)?.id,
            scope: scope(SCOPES[0])?,
            auth_time: now,
            issued_change: change_number,
            user_change: change_number,
            expires_at: now + RefreshPolicy::default().absolute_s,
            ended: false,
        };
        let first = NewRefreshToken {
            hash: secret.hash(),
            issued_at: now,
            expires_at: family.expires_at,
            access_token_expires_at: now + 3600,
            retry: None,
        };
        store.insert_family(&family, &first).await?;
        tokens.push(secret.expose().to_owned());
    }
    store.close().await;
    Ok(tokens)
}

/// Registers the API for the clients, in an empty database.
pub(crate) async fn api_alone(database: &DatabaseUrl, algorithm: Algorithm) -> Outcome<()> {
    let store = Store::open(database).await?;
    let mut change = store.begin_change(0).await?;
    change.insert_api(&api(algorithm)?).await?;
    change.commit().await?;
    store.close().await;
    Ok(())
}

/// Registers a range of clients, each with the same two secrets and the same entitlement.
pub(crate) async fn alike(database: &DatabaseUrl, algorithm: Algorithm, first: u32, last: u32) -> Outcome<()> {
    let store = Store::open(database).await?;
    let secrets = [secret_of_alike().hash(), secret(1).hash()];
    let api = api(algorithm)?.id;
    store.insert_alike((first.into(), last.into()), &secrets, &api, &SCOPES.join(" ")).await?;
    store.close().await;
    Ok(())
}

/// The secret of each of them.
pub(crate) fn secret_of_alike() -> Secret {
    secret(0)
}

/// The value after `Basic`. Neither the ID nor the secret needs escapes.
pub(crate) fn basic(index: usize) -> String {
    STANDARD.encode(format!("{}:{}", client_name(index), secret(index).expose()))
}

async fn open(directory: &Path) -> Outcome<Store> {
    Ok(Store::open(&DatabaseUrl::sqlite_in(directory)?).await?)
}

async fn insert_client(change: &mut Change, index: usize, algorithm: Algorithm) -> Outcome<()> {
    let (id, api_id) = (client_id(index)?, api(algorithm)?.id);
    let client = NewClient {
        id: id.clone(),
        name: format!("Service {index}"),
        owner: "bench".to_owned(),
        auth_methods: ClientAuthMethod::ALL.into_iter().collect(),
    };
    let credential = Credential {
        id: format!("cred_{index:05}"),
        label: "bench".to_owned(),
        secret_hash: secret(index).hash(),
        not_before: 0,
        expires_at: None,
    };
    let may_ask = Entitlement { scopes: scope(&SCOPES.join(" "))?, grants: GrantType::ALL.into_iter().collect() };
    change.insert_client(&client).await?;
    change.insert_credential(&id, &credential).await?;
    change.allow_ask(&id, &api_id, &may_ask).await?;
    Ok(change.allow_introspect(&id, &api_id).await?)
}

fn api(algorithm: Algorithm) -> Outcome<Api> {
    let id = algorithm.as_str().to_ascii_lowercase();
    let mut scopes = Vec::new();
    for name in SCOPES {
        scopes.push(ScopeDefinition {
            token: ScopeToken::parse(name).ok_or("invalid scope")?,
            description: String::new(),
            rules: vec![PathRule::parse("* .*").map_err(|error| format!("{error:?}"))?],
            is_default: false,
        });
    }
    Ok(Api {
        audience: Audience::parse(&format!("https://{id}.example")).ok_or("invalid audience")?,
        id: ApiId::parse(&id).ok_or("invalid API ID")?,
        name: id,
        scopes,
        grants: GrantType::ALL.into_iter().collect(),
        access_token_lifetime_s: 3600,
        algorithm,
        refresh: RefreshPolicy::default(),
        epoch: 0,
        removals: Box::default(),
    })
}

fn scope(text: &str) -> Outcome<Scope> {
    Scope::parse(text).map_err(|_| "invalid scope".into())
}

fn client_name(index: usize) -> String {
    format!("service-{index:05}")
}

fn client_id(index: usize) -> Outcome<ClientId> {
    ClientId::parse(&client_name(index)).ok_or_else(|| "invalid client ID".into())
}

fn secret(index: usize) -> Secret {
    Secret::from_random(CLIENT_SECRET_PREFIX, &random(index))
}

/// Bytes that depend only on the index. Nothing here is secret.
fn random<const N: usize>(index: usize) -> [u8; N] {
    let mut state = u64::try_from(index).unwrap_or_default();
    std::array::from_fn(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    })
}
