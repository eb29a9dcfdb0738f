//! Why a request is refused, and the challenge in the response (RFC 6750 §3, RFC 9728 §5.1).

use axum::response::{IntoResponse, Response};
use countersign_protocol::access_token::TokenFault;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use serde_json::json;

/// When to try again while the registry is stale, in seconds.
const RETRY_AFTER_S: i64 = 5;

/// Why a request is refused. `Display` is the exact reason, for the log.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Rejection {
    /// Two parsers might interpret the path differently.
    #[error("the path is ambiguous")]
    AmbiguousPath,
    /// There is more than one `Authorization` header.
    #[error("more than one Authorization header")]
    SeveralAuthorizations,
    /// The header contains no bearer token. A token in the query does not count.
    #[error("missing bearer token")]
    NoToken,
    /// The token is invalid.
    #[error("invalid token: {0}")]
    InvalidToken(TokenFault),
    /// The token is valid, but none of its scopes allows this request.
    #[error("no scope of the token allows this request")]
    InsufficientScope {
        /// The narrowest scope that would.
        needed: Option<String>,
    },
    /// The available data is too old to decide.
    #[error("the registry is stale")]
    Stale,
}

impl Rejection {
    /// Returns the response. `realm` and `resource_metadata` are parts of the challenge.
    pub(crate) fn into_response(self, realm: &str, resource_metadata: Option<&str>) -> Response {
        let (status, error, description) = self.describe();
        let mut challenge = format!("Bearer realm=\"{realm}\"");
        if let Some(error) = error {
            challenge.push_str(&format!(", error=\"{error}\", error_description=\"{description}\""));
        }
        if let Self::InsufficientScope { needed: Some(scope) } = &self {
            challenge.push_str(&format!(", scope=\"{scope}\""));
        }
        if let Some(address) = resource_metadata {
            challenge.push_str(&format!(", resource_metadata=\"{address}\""));
        }
        let body = match error {
            Some(error) => json!({ "error": error, "error_description": description }),
            None => json!({ "error_description": description }),
        };
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self == Self::Stale {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        } else if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn describe(&self) -> (StatusCode, Option<&'static str>, &'static str) {
        match self {
            Self::AmbiguousPath => {
                (StatusCode::BAD_REQUEST, Some("invalid_request"), "the path is ambiguous; send it in normalized form")
            }
            Self::SeveralAuthorizations => {
                (StatusCode::BAD_REQUEST, Some("invalid_request"), "send one Authorization header")
            }
            Self::NoToken => (StatusCode::UNAUTHORIZED, None, "send an access token: Authorization: Bearer TOKEN"),
            Self::InvalidToken(_) => (
                StatusCode::UNAUTHORIZED,
                Some("invalid_token"),
                "the access token is malformed, expired, revoked, or not for this API",
            ),
            Self::InsufficientScope { .. } => {
                (StatusCode::FORBIDDEN, Some("insufficient_scope"), "no scope of the access token allows this request")
            }
            Self::Stale => (
                StatusCode::SERVICE_UNAVAILABLE,
                Some("temporarily_unavailable"),
                "tokens cannot be checked right now; try again shortly",
            ),
        }
    }
}

impl From<TokenFault> for Rejection {
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::Stale => Self::Stale,
            other => Self::InvalidToken(other),
        }
    }
}
