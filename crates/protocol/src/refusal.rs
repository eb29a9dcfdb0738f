//! Every way in which a request can be refused.
//!
//! `Display` is the exact reason, for the log. It contains the names of registered objects, but only the length of what
//! was sent, because a secret may have been sent in its place. The server has a table of what the caller may know.

use arrayvec::ArrayString;
use strum::{EnumCount, IntoStaticStr};

use crate::scope_token::ScopeToken;

/// The ID of a credential, stored inline, so that creating and dropping it takes no additional time.
pub type CredentialName = ArrayString<32>;

/// Why an OAuth request is refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, EnumCount, IntoStaticStr)]
pub enum Refusal {
    // The format of the request (RFC 6749 §3.2).
    /// The `Host` header is missing, duplicated (RFC 9112 §3.2), or differs from `:authority` (RFC 9113 §8.3.1).
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
    /// There is a query string. Tokens and secrets in it would be logged.
    #[error("the URL contains parameters")]
    ParametersInUrl,
    /// The body is not `application/x-www-form-urlencoded` in UTF-8.
    #[error("the body is not a UTF-8 form")]
    NotAForm,
    /// The body has a `Content-Encoding`.
    #[error("the body has a Content-Encoding")]
    ContentEncoding,
    /// A page of another origin sent it.
    #[error("the request comes from a page of another origin: {0}")]
    ForeignPage(&'static str),
    /// The body is too large.
    #[error("the body is too large")]
    BodyTooLarge,
    /// The body is incomplete, or does not match its framing.
    #[error("the body is incomplete")]
    BrokenBody,
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    LateBody,
    /// A `%` is not followed by two hexadecimal digits.
    #[error("a `%` is not followed by two hexadecimal digits")]
    BrokenEscape,
    /// A decoded name or value is not valid UTF-8.
    #[error("a parameter is not valid UTF-8")]
    InvalidUtf8,
    /// A decoded name or value contains a NUL character.
    #[error("a parameter contains a NUL character")]
    Nul,
    /// There are too many parameters.
    #[error("too many parameters")]
    TooManyParameters,
    /// A parameter is duplicated.
    #[error("duplicate parameter")]
    RepeatedParameter(String),
    /// A required parameter is missing or empty.
    #[error("missing parameter `{0}`")]
    MissingParameter(&'static str),
    /// There is more than one `Authorization` header.
    #[error("more than one Authorization header")]
    SeveralAuthorizations,
    /// There is an `Authorization` header and also a `client_secret` (RFC 6749 §2.3 allows one method per request).
    #[error("the client uses two authentication methods at once")]
    TwoAuthentications,
    /// `client_id` in the body differs from the one in the header.
    #[error("client_id in the body differs from the one in the Authorization header")]
    ClientIdMismatch,

    // Client authentication (RFC 6749 §2.3).
    /// No credentials were presented.
    #[error("the client did not authenticate")]
    NotAuthenticated,
    /// The `Authorization` scheme is not Basic.
    #[error("the Authorization scheme is not Basic")]
    UnknownScheme,
    /// The Basic credentials cannot be decoded.
    #[error("the Basic credentials are malformed")]
    MalformedBasic,
    /// The client is unknown.
    #[error("unknown client")]
    UnknownClient,
    /// The authentication method is not enabled for the client.
    #[error("the authentication method {0} is not enabled for the client")]
    AuthMethodNotRegistered(&'static str),
    /// The secret has our prefix, but its checksum is wrong: it was mistyped or truncated.
    #[error("the secret's checksum is wrong: a character is wrong or missing")]
    MistypedSecret,
    /// The client has no such secret.
    #[error("the client has no such secret")]
    WrongSecret,
    /// The secret is correct but has expired.
    #[error("secret {0} has expired")]
    ExpiredSecret(CredentialName),
    /// The secret is correct but not valid yet.
    #[error("secret {0} is not valid yet")]
    SecretNotYetValid(CredentialName),
    /// The client is disabled.
    #[error("the client is disabled")]
    ClientDisabled,

    // The grant, the API and the scope.
    /// The grant type is unknown.
    #[error("unknown grant type")]
    UnknownGrantType,
    /// The API in the path is unknown.
    #[error("unknown API in the path")]
    UnknownApiPath,
    /// `resource` is not the audience of an API.
    #[error("resource is not the audience of an API")]
    UnknownResource,
    /// There are several different values of `resource`, or one that differs from the API in the path.
    #[error("the request names several APIs")]
    SeveralResources,
    /// The request names no API, and the client is entitled to several.
    #[error("the request names no API, and the client is entitled to several")]
    AmbiguousApi,
    /// The client has no entitlement to the API, or to any.
    #[error("the client has no entitlement to the API")]
    NoEntitlement,
    /// The API does not allow the grant.
    #[error("the API does not allow the grant")]
    GrantNotAllowedByApi,
    /// The client may not use the grant with the API.
    #[error("the client may not use the grant with the API")]
    GrantNotAllowedToClient,
    /// A scope name is malformed.
    #[error("malformed scope of {} characters", .0.chars().count())]
    MalformedScope(String),
    /// There are too many scopes.
    #[error("too many scopes")]
    TooManyScopes,
    /// The API has no such scope.
    #[error("the API has no scope with the requested name of {} characters", .0.as_str().len())]
    UnknownScope(ScopeToken),
    /// The client is not entitled to the scope.
    #[error("the client is not entitled to scope `{0}`")]
    ScopeNotEntitled(ScopeToken),
    /// A refresh requests more than the original grant.
    #[error("a scope of {} characters was not part of the original grant", .0.as_str().len())]
    ScopeWidened(ScopeToken),
    /// The request names no scope, and the client has no default scope.
    #[error("the request names no scope, and the client has no default scope")]
    NoDefaultScope,

    // The user's credentials and the refresh token.
    /// The user is unknown.
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
    /// The refresh token belongs to another client.
    #[error("the refresh token belongs to another client")]
    ForeignRefreshToken,
    /// The refresh token is for another API than the named one.
    #[error("the refresh token is for another API")]
    RefreshTokenOfOtherApi,
    /// The refresh token was already used, which revokes its family (RFC 9700 §4.14.2).
    #[error("the refresh token was already used; family {0} is revoked")]
    RefreshTokenReused(String),
    /// The refresh token has expired.
    #[error("the refresh token has expired")]
    ExpiredRefreshToken,
    /// The refresh token's family has ended, or was revoked together with the tokens of its client or user.
    #[error("the refresh token was revoked")]
    RevokedRefreshToken,

    // Revocation (RFC 7009 §2.1).
    /// The token was issued to another client.
    #[error("the token was issued to another client")]
    ForeignToken,

    // Temporary refusals.
    /// Too many failures.
    #[error("too many failed attempts: {what}")]
    TooManyAttempts {
        /// Whose failures were counted.
        what: &'static str,
        /// Seconds until the window ends.
        retry_after_s: i64,
    },
    /// Too many consecutive failed passwords of a user. An administrator must unlock the user.
    #[error("the user is locked after too many failed passwords")]
    UserLocked,
    /// The client has reached its token limit.
    #[error("the client has reached its token limit for this {window}")]
    TooManyTokens {
        /// `minute` or `day`.
        window: &'static str,
        /// Seconds until it ends.
        retry_after_s: i64,
    },
    /// Too many requests are waiting.
    #[error("overloaded: {0}")]
    Overloaded(&'static str),
    /// The last successful read of the registry is too old.
    #[error("the registry is stale")]
    StaleRegistry,
    /// The database is temporarily unable to do what the request needs.
    #[error("{0}")]
    DatabaseUnavailable(DatabaseTrouble),
    /// An internal error. The text is only for the log.
    #[error("internal: {0}")]
    Internal(String),
}

/// Why a database cannot be used at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum DatabaseTrouble {
    /// It is unreachable.
    #[error("the database is unreachable")]
    Lost,
    /// Another database is in its place, or none. Writes would be lost.
    #[error("the database was deleted or replaced")]
    Replaced,
    /// It did not respond in time, or other transactions were in the way.
    #[error("the database did not respond in time")]
    Slow,
    /// It is read-only.
    #[error("the database is read-only")]
    ReadOnly,
    /// Its disk is full.
    #[error("the disk of the database is full")]
    Full,
    /// Its file is damaged.
    #[error("the database file is damaged")]
    Damaged,
}
