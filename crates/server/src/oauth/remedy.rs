//! How to fix a refused request: one sentence for each refusal, shown by `countersign explain`.

use countersign_protocol::refusal::{DatabaseTrouble, Refusal};

const FOREIGN_HOST: &str =
    "use the issuer's host name, or add the other name to http.hosts; a proxy must set Host to the issuer's host";
const MALFORMED_BASIC: &str = "form-encode the client_id and the secret, join them with a colon, and encode the result \
            in Base64 (RFC 6749 §2.3.1)";
const UNKNOWN_CLIENT: &str =
    "check the client_id, and that this is the right server; `client list` shows the known clients";
const WRONG_AUTH_METHOD: &str = "use an authentication method that is enabled for the client, or enable this one: `client update --add-auth-method`";
const NO_DEFAULT_SCOPE: &str = "request a scope, or make one of the client's scopes a default scope of the API: \
     `countersign scope update API SCOPE --default true`";
/// A client that follows this advice never sees the refusal, so it then points to a thief.
const REUSED: &str = "sign in again, and always store the new refresh token from the response; if a response is lost, \
     repeat the request within the API's `refresh_retry_s`; if the client does both, the token may have been stolen";
const KEEP_TOKENS: &str =
    "cache tokens until they expire, or raise the client's limit: `client update --tokens-per-minute`";

/// Returns what to change, or what to wait for.
pub(crate) fn remedy(refusal: &Refusal) -> &'static str {
    use Refusal as R;
    match refusal {
        R::Host => "send exactly one Host header with the name of this server",
        R::ForeignHost => FOREIGN_HOST,
        R::TransferEncoding => {
            "send the body with Content-Length, or with Transfer-Encoding: chunked and no other coding"
        }
        R::Method => "use POST",
        R::ParametersInUrl => "send the parameters in the body",
        R::NotAForm => "send the body as application/x-www-form-urlencoded in UTF-8",
        R::ContentEncoding => "send the body without Content-Encoding",
        R::ForeignPage(_) => "call this endpoint from a server or a script, not from a page of another site",
        R::BodyTooLarge => "send a smaller body; token requests never need this much",
        R::BrokenBody => "send a complete body that matches its headers",
        R::LateBody => "send the body without delay, and check the network between client and server",
        R::BrokenEscape | R::InvalidUtf8 | R::Nul => "form-encode the values (RFC 6749, appendix B)",
        R::TooManyParameters | R::RepeatedParameter(_) => "send only the required parameters, and each of them once",
        R::MissingParameter(_) => "send the parameter with a value",
        R::SeveralAuthorizations => "send one Authorization header; check whether a proxy adds another",
        R::TwoAuthentications | R::ClientIdMismatch => "authenticate either in the Authorization header or in the body",
        R::NotAuthenticated => "send client_id and client_secret with HTTP Basic or in the body",
        R::UnknownScheme => "use HTTP Basic, or client_id and client_secret in the body",
        R::MalformedBasic => MALFORMED_BASIC,
        R::UnknownClient => UNKNOWN_CLIENT,
        R::AuthMethodNotRegistered(_) => WRONG_AUTH_METHOD,
        R::MistypedSecret => "copy the whole secret again",
        R::WrongSecret => "use a current secret of this client, or create one: `secret create`",
        R::ExpiredSecret(_) => "use a newer secret of this client, or create one: `secret create`",
        R::SecretNotYetValid(_) => "wait until the secret is valid, or use the previous one",
        R::ClientDisabled => "enable the client: `client enable`",
        R::UnknownGrantType => "use client_credentials; the metadata document lists all supported grants",
        R::UnknownApiPath => "use the ID of a registered API in the path; `api list` shows them",
        R::UnknownResource => "set resource to the audience of a registered API; `api list` shows them",
        R::SeveralResources => "request a token for one API at a time",
        R::AmbiguousApi => "choose the API with the resource parameter, or with its path",
        R::NoEntitlement => "create an entitlement: `client allow CLIENT API --scope … --grant …`",
        R::GrantNotAllowedByApi => "use a grant that the API allows, or allow this one: `api update --add-grant`",
        R::GrantNotAllowedToClient => "use a grant that the client may use, or allow this one: `client allow --grant`",
        R::MalformedScope(_) => {
            "separate scope names with one space, and use visible ASCII without quotes and backslashes"
        }
        R::TooManyScopes => "request fewer scopes",
        R::UnknownScope(_) => "request scopes of the API; `scope list` shows them",
        R::ScopeNotEntitled(_) => "allow the scope for the client: `client allow --scope`",
        R::ScopeWidened(_) => "request only scopes of the original grant that were not removed since, or sign in again",
        R::NoDefaultScope => NO_DEFAULT_SCOPE,
        R::UnknownUser | R::WrongPassword => "check the user's name and password",
        R::UserDisabled => "enable the user: `user update --enable`",
        R::SecondFactor => "have the user sign in on the web; the password grant cannot ask for a one-time code",
        R::UnknownRefreshToken | R::ExpiredRefreshToken | R::RevokedRefreshToken => {
            "sign in again with the user's password"
        }
        R::ForeignRefreshToken => "use the client that the token was issued to",
        R::RefreshTokenOfOtherApi => "omit the API, or name the one that the token is for",
        R::RefreshTokenReused(_) => REUSED,
        R::ForeignToken => "revoke it with the client that it was issued to, or as an administrator: `token revoke`",
        R::TooManyAttempts { .. } => "wait; if the failures come from one address, the log has a warning that names it",
        R::UserLocked => {
            "find out who is guessing with `audit list` and the log, then run `countersign user unlock NAME`"
        }
        R::TooManyTokens { .. } => KEEP_TOKENS,
        R::Overloaded(_) => "try again shortly; if it happens often, add nodes",
        R::StaleRegistry => of_database(DatabaseTrouble::Lost),
        R::DatabaseUnavailable(trouble) => of_database(*trouble),
        R::Internal(_) => "search the log of this node for the request ID",
    }
}

fn of_database(trouble: DatabaseTrouble) -> &'static str {
    match trouble {
        DatabaseTrouble::Lost => "check the database; this node cannot read it",
        DatabaseTrouble::Replaced => "put the database back, or stop the server and restore a backup",
        DatabaseTrouble::Slow => "find out what was slow in the log of this node, and check the database for locks",
        DatabaseTrouble::ReadOnly => {
            "make the database writable; it may be a standby, or on a file system that is mounted read-only"
        }
        DatabaseTrouble::Full => "free some space on the disk of the database",
        DatabaseTrouble::Damaged => "stop the server and restore a backup",
    }
}
