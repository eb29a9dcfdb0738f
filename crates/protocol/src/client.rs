//! A client: a service that asks for tokens (RFC 6749 §2), its credentials and what it may ask.

use smallvec::SmallVec;
use strum::{EnumCount, EnumString, IntoStaticStr};

use crate::UnixTime;
use crate::grant_type::GrantTypes;
use crate::ids::{ApiId, ClientId};
use crate::right::Removal;
use crate::scope::Scope;
use crate::secret::SecretHash;
use crate::status::Status;

/// How a client is registered to authenticate (RFC 7591 §2 `token_endpoint_auth_method`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumCount, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ClientAuthMethod {
    /// HTTP Basic (RFC 6749 §2.3.1).
    ClientSecretBasic,
    /// Parameters in the body (RFC 6749 §2.3.1).
    ClientSecretPost,
}

impl ClientAuthMethod {
    /// Every method that works here.
    pub const ALL: [Self; Self::COUNT] = [Self::ClientSecretBasic, Self::ClientSecretPost];

    /// The registered name.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The method of that name.
    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

/// A set of authentication methods, in one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientAuthMethods(u8);

impl ClientAuthMethods {
    /// True if it holds the method.
    pub fn contains(self, method: ClientAuthMethod) -> bool {
        self.0 & 1 << method as u8 != 0
    }

    /// The methods, in the order of [`ClientAuthMethod::ALL`].
    pub fn iter(self) -> impl Iterator<Item = ClientAuthMethod> {
        ClientAuthMethod::ALL.into_iter().filter(move |method| self.contains(*method))
    }
}

impl FromIterator<ClientAuthMethod> for ClientAuthMethods {
    fn from_iter<I: IntoIterator<Item = ClientAuthMethod>>(methods: I) -> Self {
        Self(methods.into_iter().fold(0, |set, method| set | 1 << method as u8))
    }
}

/// One of the secrets that a client may present.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Its id, which logs and administrators use.
    pub id: String,
    /// What it is for, for people.
    pub label: String,
    /// The hash of the secret.
    pub secret_hash: SecretHash,
    /// It is accepted from this moment on.
    pub not_before: UnixTime,
    /// It is refused from this moment on, if it ends.
    pub expires_at: Option<UnixTime>,
}

/// What a client may do with an Api.
#[derive(Clone, Debug, Default)]
pub struct Entitlement {
    /// The scopes it may ask for.
    pub scopes: Scope,
    /// The grants by which it may ask.
    pub grants: GrantTypes,
}

/// The most tokens that a client gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenLimits {
    /// In a minute, if that is limited.
    pub per_minute: Option<i64>,
    /// In a day of UTC, if that is limited.
    pub per_day: Option<i64>,
}

/// The most credentials of a client. A presented secret is compared with as many, whatever the client has.
pub const MAX_CREDENTIALS: usize = 10;
/// Credentials of one client. Most have one, and it is in place: a pointer less to follow, which is felt with ten thousand
/// clients (`cargo xtask bench clients`).
pub type Credentials = SmallVec<[Credential; 1]>;
/// Apis, and what one client may ask of each; the only one of most is in place, too.
pub type MayAsk = SmallVec<[(ApiId, Entitlement); 1]>;

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id.
    pub id: ClientId,
    /// Its name, for people.
    pub name: String,
    /// How it may authenticate.
    pub auth_methods: ClientAuthMethods,
    /// The secrets it may present.
    pub credentials: Credentials,
    /// The Apis whose tokens it may ask for.
    pub may_ask: MayAsk,
    /// The Apis whose tokens it may introspect, whoever they were issued to.
    pub may_introspect: Vec<ApiId>,
    /// The most tokens that it gets; none for most.
    pub limits: Option<Box<TokenLimits>>,
    /// Whether it may do anything.
    pub status: Status,
    /// Tokens issued before this change are refused.
    pub epoch: i64,
    /// Rights that were taken from it while tokens that use them may still be in circulation.
    pub removals: Box<[Removal]>,
}

impl Client {
    /// True if one of its secrets ended after `since` and by `now`.
    pub fn has_lost_secret(&self, since: UnixTime, now: UnixTime) -> bool {
        let end = |credential: &Credential| credential.expires_at;
        self.credentials.iter().filter_map(end).any(|end| since < end && end <= now)
    }

    /// What it may ask of an Api.
    pub fn find_entitlement(&self, api: &ApiId) -> Option<&Entitlement> {
        self.may_ask.iter().find(|(id, _)| id == api).map(|(_, entitlement)| entitlement)
    }
}
