//! APIs, clients and users for a story, stored as an administrator would.

use countersign_protocol::api::{Api, RefreshPolicy, ScopeDefinition};
use countersign_protocol::audience::Audience;
use countersign_protocol::client::{ClientAuthMethod, Credential, Entitlement};
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::ids::{ApiId, ClientId, UserId};
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::path_rule::PathRule;
use countersign_protocol::scope::Scope;
use countersign_protocol::scope_token::ScopeToken;
use countersign_protocol::secret::Secret;
use countersign_protocol::user::Login;
use countersign_server::people::passwords;
use countersign_store::{Change, NewClient, NewUser};

use crate::server::{START, TestServer};

/// An API for a story.
#[derive(Clone, Debug)]
pub struct NewTestApi<'a> {
    /// Its ID. Its audience is `https://ID.example`.
    pub id: &'a str,
    /// Its scopes, each with the rule `* .*`. The first is the default.
    pub scopes: &'a [&'a str],
    /// Its grants.
    pub grants: &'a [GrantType],
    /// Its signing algorithm.
    pub algorithm: Algorithm,
}

/// An entitlement to request tokens: API, scopes, grants.
pub type MayAsk<'a> = (&'a str, &'a str, &'a [GrantType]);

/// A client for a story.
#[derive(Clone, Debug)]
pub struct NewTestClient<'a> {
    /// Its ID.
    pub id: &'a str,
    /// Its secret.
    pub secret: &'a str,
    /// Its entitlements to request tokens.
    pub may_ask: &'a [MayAsk<'a>],
    /// The APIs whose tokens it may introspect.
    pub may_introspect: &'a [&'a str],
}

impl TestServer {
    /// Commits a change, and lets this node read it.
    pub async fn change(&self, make: impl AsyncFnOnce(&mut Change)) {
        let mut change = self.state.store.begin_change(START).await.unwrap();
        make(&mut change).await;
        change.commit().await.unwrap();
        self.follow().await;
    }

    /// Adds an API.
    pub async fn add_api(&self, new: NewTestApi<'_>) {
        let scope = |(index, name): (usize, &&str)| ScopeDefinition {
            token: ScopeToken::parse(name).unwrap(),
            description: String::new(),
            rules: vec![PathRule::parse("* .*").unwrap()],
            is_default: index == 0,
        };
        let api = Api {
            id: ApiId::parse(new.id).unwrap(),
            audience: Audience::parse(&format!("https://{}.example", new.id)).unwrap(),
            name: new.id.to_owned(),
            scopes: new.scopes.iter().enumerate().map(scope).collect(),
            grants: new.grants.iter().copied().collect(),
            access_token_lifetime_s: 3600,
            algorithm: new.algorithm,
            refresh: RefreshPolicy::default(),
            epoch: 0,
            removals: Box::default(),
        };
        self.change(async |change| change.insert_api(&api).await.unwrap()).await;
    }

    /// Adds a client with one secret.
    pub async fn add_client(&self, new: NewTestClient<'_>) {
        let id = ClientId::parse(new.id).unwrap();
        let (name, owner) = (new.id.to_owned(), "story".to_owned());
        let client =
            NewClient { id: id.clone(), name, owner, auth_methods: ClientAuthMethod::ALL.into_iter().collect() };
        self.change(async |change| {
            change.insert_client(&client).await.unwrap();
            change.insert_credential(&id, &credential(new.id, new.secret)).await.unwrap();
            for (api, scopes, grants) in new.may_ask {
                let scopes = if scopes.is_empty() { Scope::default() } else { Scope::parse(scopes).unwrap() };
                let what = Entitlement { scopes, grants: grants.iter().copied().collect() };
                change.allow_ask(&id, &ApiId::parse(api).unwrap(), &what).await.unwrap();
            }
            for api in new.may_introspect {
                change.allow_introspect(&id, &ApiId::parse(api).unwrap()).await.unwrap();
            }
        })
        .await;
    }

    /// Adds a user.
    pub async fn add_user(&self, login: &str, password: &str) -> UserId {
        let id = UserId::from_random(self.state.entropy.bytes());
        let (login, password_hash) = (Login::parse(login).unwrap(), hash_password(password));
        let user = NewUser { id: id.clone(), login, password_hash, roles: Vec::new() };
        self.change(async |change| change.insert_user(&user).await.unwrap()).await;
        id
    }
}

/// Returns the PHC string of a password.
pub fn hash_password(password: &str) -> Secret {
    passwords::hash(&Secret::new(password), &[7; 16]).unwrap()
}

fn credential(id: &str, secret: &str) -> Credential {
    Credential {
        id: format!("cred_{id}"),
        label: "story".to_owned(),
        secret_hash: Secret::new(secret).hash(),
        not_before: 0,
        expires_at: None,
    }
}
