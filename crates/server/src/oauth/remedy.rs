//! What would make a refused request pass: one sentence for each refusal, for whoever asks the log why.

use countersign_protocol::refusal::{DatabaseTrouble, Refusal};

const FOREIGN_HOST: &str =
    "use the issuer's host name, or add the other name to http.hosts; a proxy must send the issuer's host as Host";
const MALFORMED_BASIC: &str =
    "form-encode id and secret, join them by a colon, and encode that in Base64 (RFC 6749 §2.3.1)";
const UNKNOWN_CLIENT: &str =
    "check the client id, and whether this is the right server; `client list` has those that are known";
const KEEP_TOKENS: &str =
    "keep a token until it expires; or raise the client's limit: `client update --tokens-per-minute`";

/// What to change, or what to wait for.
pub(crate) fn remedy(refusal: &Refusal) -> &'static str {
    use Refusal as R;
    match refusal {
        R::Host => "send exactly one Host header, naming this server",
        R::ForeignHost => FOREIGN_HOST,
        R::TransferEncoding => {
            "send the body with Content-Length, or with Transfer-Encoding: chunked and no other coding"
        }
        R::Method => "use POST",
        R::ParametersInUrl => "send the parameters in the body",
        R::NotAForm => "send the body as application/x-www-form-urlencoded in UTF-8",
        R::ContentEncoding => "send the body without Content-Encoding",
        R::ForeignPage(_) => "ask from a server or a command, not from a page of another site",
        R::BodyTooLarge => "send less: no token request needs as much",
        R::BrokenBody => "send the whole body, framed as its headers say",
        R::LateBody => "send the body at once; look at the network between",
        R::BrokenEscape | R::InvalidUtf8 | R::Nul => "encode the values as a form (RFC 6749, appendix B)",
        R::TooManyParameters | R::RepeatedParameter(_) => "send each parameter once, and only those that are needed",
        R::MissingParameter(_) => "send the parameter with a value",
        R::SeveralAuthorizations => "send one Authorization header; a proxy may have added another",
        R::TwoAuthentications | R::ClientIdMismatch => "authenticate in one way: by the header or in the body",
        R::NotAuthenticated => "send client_id and client_secret, by HTTP Basic or in the body",
        R::UnknownScheme => "use HTTP Basic, or client_id and client_secret in the body",
        R::MalformedBasic => MALFORMED_BASIC,
        R::UnknownClient => UNKNOWN_CLIENT,
        R::AuthMethodNotRegistered(_) => {
            "use a method that the client is registered for, or register this one: `client update --auth-method`"
        }
        R::MistypedSecret => "copy the secret again, whole: a character is wrong or missing",
        R::WrongSecret => "use a secret of this client; if none is known, make one: `secret rotate`",
        R::ExpiredSecret(_) => "use a newer secret of this client, or make one: `secret rotate`",
        R::SecretNotYetValid(_) => "wait for the secret's first second, or use the one before it",
        R::ClientDisabled => "enable the client: `client enable`",
        R::UnknownGrantType => "use client_credentials; the metadata document lists every grant",
        R::UnknownApiPath => "name a registered Api in the path; `api list` has them",
        R::UnknownResource => "send the audience of a registered Api as resource; `api list` has them",
        R::SeveralResources => "ask for one Api at a time",
        R::AmbiguousApi => "say which Api is meant: by resource, or by its own path",
        R::NoEntitlement => "allow the client: `client allow CLIENT API --scope … --grant …`",
        R::GrantNotAllowedByApi => "use a grant that the Api allows, or allow this one: `api update --grant`",
        R::GrantNotAllowedToClient => "use a grant that the client may, or allow this one: `client allow --grant`",
        R::MalformedScope(_) => {
            "separate scope names by one space; each is visible ASCII without quotes and backslashes"
        }
        R::TooManyScopes => "ask for fewer scopes",
        R::UnknownScope(_) => "ask for scopes of the Api; `scope list` has them",
        R::ScopeNotEntitled(_) => "allow the client the scope: `client allow --scope`",
        R::ScopeWidened(_) => "ask for no more than is left of what was granted at first, or begin again",
        R::NoDefaultScope => {
            "ask for a scope, or make one of the client's scopes a default of the Api: `countersign scope update API SCOPE --default true`"
        }
        R::UnknownUser | R::WrongPassword => "check the user's name and password",
        R::UserDisabled => "enable the user: `user update --enable`",
        R::SecondFactor => "let the person sign in; this grant cannot ask for a one-time code",
        R::UnknownRefreshToken | R::ExpiredRefreshToken | R::RevokedRefreshToken => {
            "begin again with the user's password"
        }
        R::ForeignRefreshToken => "use it as the client that it was issued to",
        R::RefreshTokenOfOtherApi => "leave the Api unnamed, or name the one that it is for",
        R::RefreshTokenReused(_) => {
            "begin again, and keep the new refresh token of each answer; an answer that was lost can be asked for again for `refresh_retry_s` of the Api, until the new token is used; the old one may have been stolen"
        }
        R::ForeignToken => "revoke it as the client that it was issued to, or as an administrator: `token revoke`",
        R::TooManyAttempts { .. } => "wait; the log has a warning with the address if the failures come from one",
        R::UserLocked => "find out who is guessing, in `audit list` and the log; then: `countersign user unlock NAME`",
        R::TooManyTokens { .. } => KEEP_TOKENS,
        R::Overloaded(_) => "try again shortly; if it lasts, add nodes",
        R::StaleRegistry => of_database(DatabaseTrouble::Lost),
        R::DatabaseUnavailable(trouble) => of_database(*trouble),
        R::Internal(_) => "look at the log of this node under the request id",
    }
}

fn of_database(trouble: DatabaseTrouble) -> &'static str {
    match trouble {
        DatabaseTrouble::Lost => "look at the database: this node cannot read it",
        DatabaseTrouble::Replaced => "put the database file back, or stop the server and restore a backup",
        DatabaseTrouble::Slow => {
            "look at the log of this node for what was slow, and at the database for what holds locks"
        }
        DatabaseTrouble::ReadOnly => {
            "let the database take changes: a standby, or a file system that is mounted read-only, takes none"
        }
        DatabaseTrouble::Full => "make room on the disk of the database",
    }
}
