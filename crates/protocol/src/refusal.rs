//! Every way in which a request can be refused, by name.
//!
//! `Display` is the exact reason, for the log: it names what is registered, and of what was merely sent only the length,
//! for a secret may have been sent in its place. What the caller may know is the server's one table.

use arrayvec::ArrayString;
use strum::{EnumCount, IntoStaticStr};

use crate::scope_token::ScopeToken;

/// The id of a credential, kept in place: neither making nor dropping one takes time that others do not.
pub type CredentialName = ArrayString<32>;

/// Why an OAuth request is refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, EnumCount, IntoStaticStr)]
pub enum Refusal {
    // The request's form (RFC 6749 §3.2).
    /// There is no `Host` header, or more than one (RFC 9112 §3.2), or another than `:authority` (RFC 9113 §8.3.1).
    #[error("the Host header is missing, duplicated, or different from the request's URL")]
    Host,
    /// The `Host` header names another server: DNS rebinding, or a name that is not configured (RFC 9110 §7.4).
    #[error("the Host header names another server")]
    ForeignHost,
    /// The body has a transfer coding other than `chunked` (RFC 9112 §6.1).
    #[error("the body has a transfer coding other than chunked")]
    TransferEncoding,
    /// The method is not POST.
    #[error("the method is not POST")]
    Method,
    /// There is a query string, where tokens and secrets would reach logs.
    #[error("the URL contains parameters")]
    ParametersInUrl,
    /// The body is not `application/x-www-form-urlencoded` in UTF-8.
    #[error("the body is not a UTF-8 form")]
    NotAForm,
    /// The body has a `Content-Encoding`.
    #[error("the body has a Content-Encoding")]
    ContentEncoding,
    /// A page of another origin sent it: nothing of ours is for pages but our own.
    #[error("the request comes from a page of another origin: {0}")]
    ForeignPage(&'static str),
    /// The body is larger than is read.
    #[error("the body is too large")]
    BodyTooLarge,
    /// The body broke off, or is not framed as its headers say.
    #[error("the body is incomplete")]
    BrokenBody,
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    LateBody,
    /// A `%` is not followed by two hexadecimal digits.
    #[error("a `%` is not followed by two hexadecimal digits")]
    BrokenEscape,
    /// A decoded name or value is not UTF-8.
    #[error("a parameter is not valid UTF-8")]
    InvalidUtf8,
    /// A decoded name or value has a NUL.
    #[error("a parameter contains a NUL character")]
    Nul,
    /// There are more parameters than are read.
    #[error("too many parameters")]
    TooManyParameters,
    /// A parameter is there twice.
    #[error("duplicate parameter")]
    RepeatedParameter(String),
    /// A parameter that is needed is missing or empty.
    #[error("missing parameter `{0}`")]
    MissingParameter(&'static str),
    /// There is more than one `Authorization` header.
    #[error("more than one Authorization header")]
    SeveralAuthorizations,
    /// There is an `Authorization` header and also a `client_secret` (RFC 6749 §2.3: one method a request).
    #[error("the client uses two authentication methods at once")]
    TwoAuthentications,
    /// `client_id` in the body is not the one in the header.
    #[error("client_id in the body differs from the one in the Authorization header")]
    ClientIdMismatch,

    // Client authentication (RFC 6749 §2.3).
    /// Nothing was presented.
    #[error("the client did not authenticate")]
    NotAuthenticated,
    /// The `Authorization` scheme is not Basic.
    #[error("the Authorization scheme is not Basic")]
    UnknownScheme,
    /// The Basic credentials cannot be decoded.
    #[error("the Basic credentials are malformed")]
    MalformedBasic,
    /// There is no such client.
    #[error("unknown client")]
    UnknownClient,
    /// The method is not one the client is registered for.
    #[error("the authentication method {0} is not enabled for the client")]
    AuthMethodNotRegistered(&'static str),
    /// The secret begins like one of ours, but its checksum is wrong: a typo or a cut.
    #[error("the secret's checksum is wrong: a character is wrong or missing")]
    MistypedSecret,
    /// The secret is none of the client's.
    #[error("the client has no such secret")]
    WrongSecret,
    /// The secret is right but has expired.
    #[error("secret {0} has expired")]
    ExpiredSecret(CredentialName),
    /// The secret is right but not valid yet.
    #[error("secret {0} is not valid yet")]
    SecretNotYetValid(CredentialName),
    /// The client is disabled.
    #[error("the client is disabled")]
    ClientDisabled,

    // The grant, the Api and the scope.
    /// The grant type is none we know.
    #[error("unknown grant type")]
    UnknownGrantType,
    /// The path names no Api.
    #[error("unknown API in the path")]
    UnknownApiPath,
    /// `resource` is no Api's audience.
    #[error("resource is not the audience of an API")]
    UnknownResource,
    /// Several different `resource` values, or one unlike the path's Api.
    #[error("the request names several APIs")]
    SeveralResources,
    /// No Api is named and the client may ask for several.
    #[error("the request names no API, and the client is entitled to several")]
    AmbiguousApi,
    /// The client has no entitlement to the Api, or to any.
    #[error("the client has no entitlement to the API")]
    NoEntitlement,
    /// The Api does not allow the grant.
    #[error("the API does not allow the grant")]
    GrantNotAllowedByApi,
    /// The client may not use the grant with the Api.
    #[error("the client may not use the grant with the API")]
    GrantNotAllowedToClient,
    /// A scope name is outside the grammar.
    #[error("malformed scope of {} characters", .0.chars().count())]
    MalformedScope(String),
    /// More scopes are asked for than are read.
    #[error("too many scopes")]
    TooManyScopes,
    /// The Api defines no such scope.
    #[error("the API has no scope with the requested name of {} characters", .0.as_str().len())]
    UnknownScope(ScopeToken),
    /// The client is not entitled to the scope.
    #[error("the client is not entitled to scope `{0}`")]
    ScopeNotEntitled(ScopeToken),
    /// A refresh asks for more than was granted first.
    #[error("a scope of {} characters was not part of the original grant", .0.as_str().len())]
    ScopeWidened(ScopeToken),
    /// No scope is asked for, and none is granted by default.
    #[error("the request names no scope, and the client has no default scope")]
    NoDefaultScope,

    // The grant's own proof.
    /// There is no such user.
    #[error("unknown user")]
    UnknownUser,
    /// The password is wrong.
    #[error("wrong password")]
    WrongPassword,
    /// The user is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// The user has a second factor, which this grant cannot ask for.
    #[error("the user has a second factor, which the password grant cannot ask for")]
    SecondFactor,
    /// The refresh token is unknown.
    #[error("unknown refresh token")]
    UnknownRefreshToken,
    /// The refresh token is another client's.
    #[error("the refresh token belongs to another client")]
    ForeignRefreshToken,
    /// The refresh token is for another Api than the one named.
    #[error("the refresh token is for another API")]
    RefreshTokenOfOtherApi,
    /// The refresh token was used before: its family ends (RFC 9700 §4.14.2).
    #[error("the refresh token was already used; family {0} is revoked")]
    RefreshTokenReused(String),
    /// The refresh token has expired.
    #[error("the refresh token has expired")]
    ExpiredRefreshToken,
    /// The refresh token's family has ended, or its client or user has changed since.
    #[error("the refresh token was revoked")]
    RevokedRefreshToken,

    // Revocation (RFC 7009 §2.1).
    /// The token was issued to another client.
    #[error("the token was issued to another client")]
    ForeignToken,

    // Not now.
    /// Too many failures; try again after so many seconds.
    #[error("too many failed attempts: {what}")]
    TooManyAttempts {
        /// Whose failures were counted.
        what: &'static str,
        /// Seconds until the window ends.
        retry_after_s: i64,
    },
    /// Too many failed passwords of a user in a row; an administrator must unlock the user.
    #[error("the user is locked after too many failed passwords")]
    UserLocked,
    /// The client has had as many tokens as it may; try again after so many seconds.
    #[error("the client has reached its token limit for this {window}")]
    TooManyTokens {
        /// `minute` or `day`.
        window: &'static str,
        /// Seconds until it ends.
        retry_after_s: i64,
    },
    /// More work is waiting than is taken on.
    #[error("overloaded: {0}")]
    Overloaded(&'static str),
    /// The registry was last read too long ago to be trusted.
    #[error("the registry is stale")]
    StaleRegistry,
    /// The database cannot do now what the request needs.
    #[error("{0}")]
    DatabaseUnavailable(DatabaseTrouble),
    /// Our fault; the text is for the log only.
    #[error("internal: {0}")]
    Internal(String),
}

/// Why a database cannot be used at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum DatabaseTrouble {
    /// It cannot be reached, or has gone away.
    #[error("the database is unreachable")]
    Lost,
    /// The path of its file leads to another file, or to none: what is written would be lost.
    #[error("the database file was deleted or replaced")]
    Replaced,
    /// It did not answer in time, or other transactions were in the way.
    #[error("the database did not respond in time")]
    Slow,
    /// It takes no changes.
    #[error("the database is read-only")]
    ReadOnly,
    /// It has no room for changes.
    #[error("the disk of the database is full")]
    Full,
}
