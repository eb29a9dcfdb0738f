//! A client: a service that requests tokens (RFC 6749 §2), its credentials and its entitlements.

use smallvec::SmallVec;
use strum::{EnumCount, EnumString, IntoStaticStr};

use crate::UnixTime;
use crate::grant_type::GrantTypes;
use crate::ids::{ApiId, ClientId};
use crate::right::Removal;
use crate::scope::Scope;
use crate::secret::SecretHash;
use crate::status::Status;

/// A registered authentication method (RFC 7591 §2 `token_endpoint_auth_method`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumCount, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ClientAuthMethod {
    /// HTTP Basic (RFC 6749 §2.3.1).
    ClientSecretBasic,
    /// Parameters in the body (RFC 6749 §2.3.1).
    ClientSecretPost,
}

impl ClientAuthMethod {
    /// All supported methods.
    pub const ALL: [Self; Self::COUNT] = [Self::ClientSecretBasic, Self::ClientSecretPost];

    /// Returns the registered name.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the method with this name.
    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

/// A set of authentication methods, in one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientAuthMethods(u8);

impl ClientAuthMethods {
    /// True if it contains the method.
    pub fn contains(self, method: ClientAuthMethod) -> bool {
        self.0 & 1 << method as u8 != 0
    }

    /// Returns the methods, in the order of [`ClientAuthMethod::ALL`].
    pub fn iter(self) -> impl Iterator<Item = ClientAuthMethod> {
        ClientAuthMethod::ALL.into_iter().filter(move |method| self.contains(*method))
    }
}

impl FromIterator<ClientAuthMethod> for ClientAuthMethods {
    fn from_iter<I: IntoIterator<Item = ClientAuthMethod>>(methods: I) -> Self {
        Self(methods.into_iter().fold(0, |set, method| set | 1 << method as u8))
    }
}

/// One of a client's secrets.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Its ID, used in logs and by administrators.
    pub id: String,
    /// A label, for people.
    pub label: String,
    /// The hash of the secret.
    pub secret_hash: SecretHash,
    /// The secret is valid from this time on.
    pub not_before: UnixTime,
    /// The secret expires at this time, if it does.
    pub expires_at: Option<UnixTime>,
}

/// What a client may request from an API.
#[derive(Clone, Debug, Default)]
pub struct Entitlement {
    /// The scopes that it may request.
    pub scopes: Scope,
    /// The grants that it may use.
    pub grants: GrantTypes,
}

/// The token limits of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenLimits {
    /// Per minute, if there is a limit.
    pub per_minute: Option<i64>,
    /// Per UTC day, if there is a limit.
    pub per_day: Option<i64>,
}

/// The maximum number of credentials of a client. A presented secret is compared with this many, however many the
/// client has.
pub const MAX_CREDENTIALS: usize = 10;
/// The credentials of a client. Most clients have one, which is stored inline: one pointer less to follow makes a
/// difference with ten thousand clients (`cargo xtask bench clients`).
pub type Credentials = SmallVec<[Credential; 1]>;
/// APIs and a client's entitlement to each. A single one is stored inline, too.
pub type MayAsk = SmallVec<[(ApiId, Entitlement); 1]>;

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its ID.
    pub id: ClientId,
    /// Its display name.
    pub name: String,
    /// The authentication methods that it may use.
    pub auth_methods: ClientAuthMethods,
    /// Its secrets.
    pub credentials: Credentials,
    /// The APIs that it is entitled to.
    pub may_ask: MayAsk,
    /// The APIs whose tokens it may introspect, whichever client they were issued to.
    pub may_introspect: Vec<ApiId>,
    /// Its token limits. Most clients have none.
    pub limits: Option<Box<TokenLimits>>,
    /// Whether it is enabled.
    pub status: Status,
    /// Tokens that were issued before this change are refused.
    pub epoch: i64,
    /// Rights that were removed while tokens with them may still exist.
    pub removals: Box<[Removal]>,
}

impl Client {
    /// True if one of its secrets expired after `since` and by `now`.
    pub fn has_lost_secret(&self, since: UnixTime, now: UnixTime) -> bool {
        let end = |credential: &Credential| credential.expires_at;
        self.credentials.iter().filter_map(end).any(|end| since < end && end <= now)
    }

    /// Returns its entitlement to an API.
    pub fn find_entitlement(&self, api: &ApiId) -> Option<&Entitlement> {
        self.may_ask.iter().find(|(id, _)| id == api).map(|(_, entitlement)| entitlement)
    }
}
