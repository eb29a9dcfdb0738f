//! Maps every error of the admin API to a problem document (RFC 9457).

use axum::response::{IntoResponse, Response};
use countersign_protocol::refusal::{DatabaseTrouble, Refusal};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::admin::change_error::{ChangeError, Kind};
use crate::http::answer::json_response;
use crate::http::json_body::BadBody;
use crate::limits::RETRY_AFTER_S;
use crate::oauth::refusal::description_of;

/// Returns the status of an error, and the stable code at the end of its `type`.
fn problem(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::Invalid => (StatusCode::BAD_REQUEST, "invalid"),
        Kind::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json"),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
        Kind::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "misdirected"),
        Kind::SessionEnded => (StatusCode::UNAUTHORIZED, "session-ended"),
        Kind::NotYours => (StatusCode::FORBIDDEN, "not-yours"),
        Kind::ScopeMissing => (StatusCode::FORBIDDEN, "scope-missing"),
        Kind::RightsEnded => (StatusCode::FORBIDDEN, "rights-ended"),
        Kind::NotFound => (StatusCode::NOT_FOUND, "not-found"),
        Kind::WrongMethod => (StatusCode::METHOD_NOT_ALLOWED, "wrong-method"),
        Kind::Conflict => (StatusCode::CONFLICT, "conflict"),
        Kind::ChangedMeanwhile => (StatusCode::PRECONDITION_FAILED, "changed-meanwhile"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "server-error"),
    }
}

impl IntoResponse for ChangeError {
    fn into_response(self) -> Response {
        let (status, word) = problem(self.kind());
        let mut body = json!({
            "type": format!("urn:countersign:problem:{word}"),
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "detail": self.detail(),
        });
        if let Some(field) = self.field() {
            body["field"] = json!(field);
        }
        let mut response = json_response(status, body.to_string());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        if let Some(trouble) = self.trouble() {
            response.extensions_mut().insert(trouble.clone());
        }
        response
    }
}

impl From<Refusal> for ChangeError {
    fn from(refusal: Refusal) -> Self {
        use Refusal as R;
        match refusal {
            R::BodyTooLarge => Self::new(Kind::TooLarge, "the body is too large"),
            R::Host => Self::invalid("Host", description_of(&refusal)),
            R::ForeignHost => Self::new(Kind::Misdirected, description_of(&refusal)).of("Host"),
            R::TransferEncoding => Self::invalid("Transfer-Encoding", description_of(&refusal)),
            R::BrokenBody | R::LateBody => Self::invalid("body", "the body is incomplete or did not arrive in time"),
            R::Overloaded(reason) => {
                tracing::debug!(reason, "refused an administrative request");
                Self::new(Kind::Unavailable, "the server is overloaded; try again shortly")
            }
            R::DatabaseUnavailable(trouble) => Self::unavailable(trouble),
            R::StaleRegistry => Self::unavailable(DatabaseTrouble::Lost),
            // These only occur at OAuth endpoints.
            R::Method
            | R::ParametersInUrl
            | R::NotAForm
            | R::ContentEncoding
            | R::ForeignPage(_)
            | R::BrokenEscape
            | R::InvalidUtf8
            | R::Nul
            | R::TooManyParameters
            | R::RepeatedParameter(_)
            | R::MissingParameter(_)
            | R::SeveralAuthorizations
            | R::TwoAuthentications
            | R::ClientIdMismatch
            | R::NotAuthenticated
            | R::UnknownScheme
            | R::MalformedBasic
            | R::UnknownClient
            | R::AuthMethodNotRegistered(_)
            | R::MistypedSecret
            | R::WrongSecret
            | R::ExpiredSecret(_)
            | R::SecretNotYetValid(_)
            | R::ClientDisabled
            | R::UnknownGrantType
            | R::UnknownApiPath
            | R::UnknownResource
            | R::SeveralResources
            | R::AmbiguousApi
            | R::NoEntitlement
            | R::GrantNotAllowedByApi
            | R::GrantNotAllowedToClient
            | R::MalformedScope(_)
            | R::TooManyScopes
            | R::UnknownScope(_)
            | R::ScopeNotEntitled(_)
            | R::ScopeWidened(_)
            | R::NoDefaultScope
            | R::UnknownUser
            | R::WrongPassword
            | R::UserDisabled
            | R::SecondFactor
            | R::UnknownRefreshToken
            | R::ForeignRefreshToken
            | R::RefreshTokenOfOtherApi
            | R::RefreshTokenReused(_)
            | R::ExpiredRefreshToken
            | R::RevokedRefreshToken
            | R::ForeignToken
            | R::TooManyTokens { .. }
            | R::TooManyAttempts { .. }
            | R::UserLocked
            | R::Internal(_) => Self::internal(refusal),
        }
    }
}

impl From<BadBody> for ChangeError {
    fn from(bad: BadBody) -> Self {
        match bad {
            BadBody::NotJson => Self::new(Kind::NotJson, "must be application/json").of("Content-Type"),
            BadBody::Field { field, what } | BadBody::UnknownField { field, what } => Self::invalid(&field, what),
            BadBody::Unread(refusal) => refusal.into(),
        }
    }
}

/// The response for an unknown path.
pub(crate) async fn not_found() -> ChangeError {
    ChangeError::new(Kind::NotFound, "unknown path; see /admin/v1/openapi.json")
}

/// The response for a wrong method.
pub(crate) async fn wrong_method() -> ChangeError {
    ChangeError::new(Kind::WrongMethod, "method not allowed for this path")
}
