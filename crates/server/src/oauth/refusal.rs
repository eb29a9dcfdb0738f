//! Maps each [`Refusal`] to the response that the caller gets.

use std::borrow::Cow;

use axum::response::Response;
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::refusal::{DatabaseTrouble, Refusal};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::http::answer::json_response;
use crate::limits::{LOCKED_RETRY_AFTER_S, MAX_BODY_BYTES, RETRY_AFTER_S};

const INVALID_REQUEST: &str = "invalid_request";
const TEMPORARILY_UNAVAILABLE: &str = "temporarily_unavailable";
const BASIC_CHALLENGE: &str = "Basic realm=\"countersign\", charset=\"UTF-8\"";
/// The message for a request without credentials. It reveals nothing. All other authentication failures share a message.
const NOTHING_PRESENTED: &str = "send client_id and client_secret with HTTP Basic or in the body";
const NO_SUCH_API: &str = "unknown API in the path; remove the last segment, or replace it with the ID of an API";
const AMBIGUOUS_API: &str = "the client is entitled to several APIs; choose one with the resource parameter";
const INTERNAL: &str = "internal error; search the log of the server for the request ID";
const TOO_MANY_ATTEMPTS: &str = "too many failed attempts; try again later";
/// Also the message for names that do not belong to a user.
const USER_LOCKED: &str = "too many failed attempts for this user name; an administrator can unlock it";
const FOREIGN_HOST: &str = "the Host header names another server; use the host name of the issuer";
/// The maximum length of a description in bytes, so that long names in a request are not repeated in full.
const MAX_DESCRIPTION_BYTES: usize = 300;

/// What the caller gets for a refusal.
struct Wire {
    status: StatusCode,
    error: &'static str,
    description: Cow<'static, str>,
}

fn wire(status: StatusCode, error: &'static str, description: impl Into<Cow<'static, str>>) -> Wire {
    Wire { status, error, description: description.into() }
}

fn bad(error: &'static str, description: impl Into<Cow<'static, str>>) -> Wire {
    wire(StatusCode::BAD_REQUEST, error, description)
}

/// Returns the row of the table.
fn describe(refusal: &Refusal) -> Wire {
    use Refusal as R;
    match refusal {
        R::Host => bad(INVALID_REQUEST, "send exactly one Host header, with a host and an optional port"),
        R::ForeignHost => wire(StatusCode::MISDIRECTED_REQUEST, INVALID_REQUEST, FOREIGN_HOST),
        R::TransferEncoding => bad(INVALID_REQUEST, "send the body with Content-Length or Transfer-Encoding: chunked"),
        R::Method => wire(StatusCode::METHOD_NOT_ALLOWED, INVALID_REQUEST, "use POST"),
        R::ParametersInUrl => bad(INVALID_REQUEST, "send the parameters in the body, not in the URL"),
        R::NotAForm => bad(INVALID_REQUEST, "send the body as application/x-www-form-urlencoded in UTF-8"),
        R::ContentEncoding => {
            wire(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, "send the body without Content-Encoding")
        }
        R::BodyTooLarge => body_too_large(),
        R::ForeignPage(_) => bad(INVALID_REQUEST, "requests from pages of other origins are not allowed"),
        R::BrokenBody => bad(INVALID_REQUEST, "the body is incomplete"),
        R::LateBody => bad(INVALID_REQUEST, "the body did not arrive in time"),
        R::BrokenEscape => bad(INVALID_REQUEST, "a % in the body is not followed by two hexadecimal digits"),
        R::InvalidUtf8 => bad(INVALID_REQUEST, "a parameter is not valid UTF-8"),
        R::Nul => bad(INVALID_REQUEST, "a parameter contains a NUL character"),
        R::TooManyParameters => bad(INVALID_REQUEST, "too many parameters"),
        R::RepeatedParameter(name) => bad(INVALID_REQUEST, format!("duplicate parameter {name}")),
        R::MissingParameter(name) => bad(INVALID_REQUEST, format!("missing parameter {name}")),
        R::SeveralAuthorizations => bad(INVALID_REQUEST, "send only one Authorization header"),
        R::TwoAuthentications => {
            bad(INVALID_REQUEST, "authenticate with the Authorization header or with client_secret, not both")
        }
        R::ClientIdMismatch => bad(INVALID_REQUEST, "client_id differs from the one in the Authorization header"),
        R::NotAuthenticated => wire(StatusCode::UNAUTHORIZED, "invalid_client", NOTHING_PRESENTED),
        R::UnknownScheme
        | R::MalformedBasic
        | R::UnknownClient
        | R::AuthMethodNotRegistered(_)
        | R::MistypedSecret
        | R::WrongSecret
        | R::ExpiredSecret(_)
        | R::SecretNotYetValid(_)
        | R::ClientDisabled => wire(StatusCode::UNAUTHORIZED, "invalid_client", "client authentication failed"),
        R::UnknownGrantType => bad("unsupported_grant_type", name_grants()),
        R::UnknownApiPath => wire(StatusCode::NOT_FOUND, INVALID_REQUEST, NO_SUCH_API),
        R::UnknownResource => bad("invalid_target", "resource is not the audience of an API"),
        R::SeveralResources => bad("invalid_target", "resource must name only one API"),
        R::AmbiguousApi => bad("invalid_target", AMBIGUOUS_API),
        R::NoEntitlement => bad("unauthorized_client", "the client is not entitled to the API"),
        R::GrantNotAllowedByApi => bad("unauthorized_client", "the API does not allow this grant"),
        R::GrantNotAllowedToClient => bad("unauthorized_client", "the client may not use this grant"),
        R::MalformedScope(name) => bad("invalid_scope", format!("malformed scope {name}")),
        R::TooManyScopes => bad("invalid_scope", "too many scopes"),
        R::UnknownScope(name) => bad("invalid_scope", format!("unknown scope {name}")),
        R::ScopeNotEntitled(name) => bad("invalid_scope", format!("the client is not entitled to scope {name}")),
        R::ScopeWidened(name) => bad("invalid_scope", format!("the refresh token does not include scope {name}")),
        R::NoDefaultScope => bad("invalid_scope", "missing scope; the client has no default scope"),
        R::UnknownUser | R::WrongPassword | R::UserDisabled | R::SecondFactor => {
            bad("invalid_grant", "wrong user name or password, or the user may not use this grant")
        }
        R::UnknownRefreshToken
        | R::ForeignRefreshToken
        | R::RefreshTokenOfOtherApi
        | R::RefreshTokenReused(_)
        | R::ExpiredRefreshToken
        | R::RevokedRefreshToken => bad("invalid_grant", "the refresh token is invalid, expired or revoked"),
        R::ForeignToken => bad("unauthorized_client", "the token was issued to another client"),
        R::TooManyAttempts { .. } => wire(StatusCode::TOO_MANY_REQUESTS, TEMPORARILY_UNAVAILABLE, TOO_MANY_ATTEMPTS),
        R::UserLocked => wire(StatusCode::TOO_MANY_REQUESTS, TEMPORARILY_UNAVAILABLE, USER_LOCKED),
        R::TooManyTokens { window, .. } => too_many_tokens(window),
        R::Overloaded(_) | R::StaleRegistry => {
            wire(StatusCode::SERVICE_UNAVAILABLE, TEMPORARILY_UNAVAILABLE, "try again shortly")
        }
        R::DatabaseUnavailable(trouble) => database_unavailable(*trouble),
        R::Internal(_) => wire(StatusCode::INTERNAL_SERVER_ERROR, "server_error", INTERNAL),
    }
}

fn database_unavailable(trouble: DatabaseTrouble) -> Wire {
    wire(StatusCode::SERVICE_UNAVAILABLE, TEMPORARILY_UNAVAILABLE, format!("{trouble}; try again shortly"))
}

fn body_too_large() -> Wire {
    let text = format!("the body is larger than {MAX_BODY_BYTES} bytes");
    wire(StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, text)
}

fn name_grants() -> String {
    let known = GrantType::ALL.map(GrantType::as_str).join(", ");
    format!("unsupported grant type; use one of {known}")
}

fn too_many_tokens(window: &str) -> Wire {
    let text = format!("the client has reached its token limit for this {window}; cache tokens until they expire");
    wire(StatusCode::TOO_MANY_REQUESTS, TEMPORARILY_UNAVAILABLE, text)
}

/// Returns the `error_description`.
pub fn description_of(refusal: &Refusal) -> Cow<'static, str> {
    describe(refusal).description
}

/// Returns the `error` code.
pub(crate) fn error_of(refusal: &Refusal) -> &'static str {
    describe(refusal).error
}

/// Returns the response for an internal error that is already logged.
pub(crate) fn internal() -> Response {
    to_response(&Refusal::Internal(String::new()))
}

/// Returns the response for a refusal, without logging it.
pub fn to_response(refusal: &Refusal) -> Response {
    let Wire { status, error, description } = describe(refusal);
    // A clean description needs no JSON escapes.
    let body = format!(r#"{{"error":"{error}","error_description":"{}"}}"#, clean(&description));
    let mut response = json_response(status, body);
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(BASIC_CHALLENGE));
    }
    if let Some(after_s) = retry_after_s(refusal) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after_s));
    }
    response
}

fn retry_after_s(refusal: &Refusal) -> Option<i64> {
    match refusal {
        Refusal::TooManyAttempts { retry_after_s, .. } | Refusal::TooManyTokens { retry_after_s, .. } => {
            Some(*retry_after_s)
        }
        Refusal::UserLocked => Some(LOCKED_RETRY_AFTER_S),
        Refusal::Overloaded(_) | Refusal::StaleRegistry | Refusal::DatabaseUnavailable(_) => Some(RETRY_AFTER_S),
        _ => None,
    }
}

/// Replaces characters that `error_description` may not contain (RFC 6749 §5.2), and limits the length.
fn clean(description: &str) -> Cow<'_, str> {
    let allowed = |character: char| matches!(character, ' ' | '!' | '#'..='[' | ']'..='~');
    if description.len() <= MAX_DESCRIPTION_BYTES && description.chars().all(allowed) {
        return description.into();
    }
    description.chars().map(|c| if allowed(c) { c } else { '?' }).take(MAX_DESCRIPTION_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use countersign_protocol::refusal::CredentialName;
    use countersign_protocol::scope_token::ScopeToken;
    use http::header::{CACHE_CONTROL, PRAGMA};
    use strum::EnumCount;

    use super::*;

    /// Returns every variant. The match in `describe` has no wildcard, so the compiler reports a missing one there.
    fn every_refusal() -> Vec<(Refusal, u16, &'static str)> {
        use Refusal as R;
        let token = || ScopeToken::parse("x").expect("a scope");
        let text = || "x".to_owned();
        vec![
            (R::Method, 405, "invalid_request"),
            (R::ParametersInUrl, 400, "invalid_request"),
            (R::NotAForm, 400, "invalid_request"),
            (R::ContentEncoding, 415, "invalid_request"),
            (R::ForeignPage("x"), 400, "invalid_request"),
            (R::BodyTooLarge, 413, "invalid_request"),
            (R::BrokenBody, 400, "invalid_request"),
            (R::LateBody, 400, "invalid_request"),
            (R::Host, 400, "invalid_request"),
            (R::ForeignHost, 421, "invalid_request"),
            (R::TransferEncoding, 400, "invalid_request"),
            (R::BrokenEscape, 400, "invalid_request"),
            (R::InvalidUtf8, 400, "invalid_request"),
            (R::Nul, 400, "invalid_request"),
            (R::TooManyParameters, 400, "invalid_request"),
            (R::RepeatedParameter(text()), 400, "invalid_request"),
            (R::MissingParameter("x"), 400, "invalid_request"),
            (R::SeveralAuthorizations, 400, "invalid_request"),
            (R::TwoAuthentications, 400, "invalid_request"),
            (R::ClientIdMismatch, 400, "invalid_request"),
            (R::NotAuthenticated, 401, "invalid_client"),
            (R::UnknownScheme, 401, "invalid_client"),
            (R::MalformedBasic, 401, "invalid_client"),
            (R::UnknownClient, 401, "invalid_client"),
            (R::AuthMethodNotRegistered("x"), 401, "invalid_client"),
            (R::MistypedSecret, 401, "invalid_client"),
            (R::WrongSecret, 401, "invalid_client"),
            (R::ExpiredSecret(CredentialName::new()), 401, "invalid_client"),
            (R::SecretNotYetValid(CredentialName::new()), 401, "invalid_client"),
            (R::ClientDisabled, 401, "invalid_client"),
            (R::UnknownGrantType, 400, "unsupported_grant_type"),
            (R::UnknownApiPath, 404, "invalid_request"),
            (R::UnknownResource, 400, "invalid_target"),
            (R::SeveralResources, 400, "invalid_target"),
            (R::AmbiguousApi, 400, "invalid_target"),
            (R::NoEntitlement, 400, "unauthorized_client"),
            (R::GrantNotAllowedByApi, 400, "unauthorized_client"),
            (R::GrantNotAllowedToClient, 400, "unauthorized_client"),
            (R::MalformedScope(text()), 400, "invalid_scope"),
            (R::TooManyScopes, 400, "invalid_scope"),
            (R::UnknownScope(token()), 400, "invalid_scope"),
            (R::ScopeNotEntitled(token()), 400, "invalid_scope"),
            (R::ScopeWidened(token()), 400, "invalid_scope"),
            (R::NoDefaultScope, 400, "invalid_scope"),
            (R::UnknownUser, 400, "invalid_grant"),
            (R::WrongPassword, 400, "invalid_grant"),
            (R::UserDisabled, 400, "invalid_grant"),
            (R::SecondFactor, 400, "invalid_grant"),
            (R::UnknownRefreshToken, 400, "invalid_grant"),
            (R::ForeignRefreshToken, 400, "invalid_grant"),
            (R::RefreshTokenOfOtherApi, 400, "invalid_grant"),
            (R::RefreshTokenReused(text()), 400, "invalid_grant"),
            (R::ExpiredRefreshToken, 400, "invalid_grant"),
            (R::RevokedRefreshToken, 400, "invalid_grant"),
            (R::ForeignToken, 400, "unauthorized_client"),
            (R::TooManyTokens { window: "minute", retry_after_s: 7 }, 429, "temporarily_unavailable"),
            (R::TooManyAttempts { what: "x", retry_after_s: 7 }, 429, "temporarily_unavailable"),
            (R::UserLocked, 429, "temporarily_unavailable"),
            (R::Overloaded("x"), 503, "temporarily_unavailable"),
            (R::StaleRegistry, 503, "temporarily_unavailable"),
            (R::DatabaseUnavailable(DatabaseTrouble::Lost), 503, "temporarily_unavailable"),
            (R::Internal(text()), 500, "server_error"),
            (R::Internal("another reason".to_owned()), 500, "server_error"),
        ]
    }

    #[test]
    fn every_refusal_has_a_row_in_the_table() {
        let names: BTreeSet<&str> = every_refusal().iter().map(|(refusal, ..)| refusal.into()).collect();
        assert_eq!(names.len(), Refusal::COUNT, "every_refusal() contains all variants");
        for (refusal, status, error) in every_refusal() {
            let response = to_response(&refusal);
            assert_eq!((response.status().as_u16(), describe(&refusal).error), (status, error), "{refusal:?}");
            let has = |name| response.headers().contains_key(name);
            assert_eq!(has(WWW_AUTHENTICATE), status == 401, "{refusal:?}");
            assert_eq!(has(RETRY_AFTER), matches!(status, 429 | 503), "{refusal:?}");
            assert!(has(CACHE_CONTROL) && has(PRAGMA), "{refusal:?}");
        }
    }

    #[test]
    fn refusals_that_must_be_indistinguishable_are() {
        for status in [401, 500] {
            let presented = |row: &(Refusal, u16, &str)| row.1 == status && row.0 != Refusal::NotAuthenticated;
            let rows = every_refusal().into_iter().filter(presented);
            let mut texts: Vec<String> = rows.map(|row| describe(&row.0).description.into_owned()).collect();
            assert!(texts.len() > 1, "{status}: one row is like itself");
            texts.dedup();
            assert_eq!(texts.len(), 1, "{texts:?}");
        }
        let grants = every_refusal().into_iter().filter(|row| row.2 == "invalid_grant");
        let mut texts: Vec<String> = grants.map(|row| describe(&row.0).description.into_owned()).collect();
        texts.dedup();
        assert_eq!(texts.len(), 2, "one for users, one for refresh tokens: {texts:?}");
    }

    #[test]
    fn a_description_has_only_the_characters_that_rfc_6749_allows() {
        assert_eq!(clean("a\"b\\c\u{e9}\n"), "a?b?c??");
        assert_eq!(clean(&"x".repeat(1000)).len(), MAX_DESCRIPTION_BYTES);
    }
}
