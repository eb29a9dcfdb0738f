//! What went wrong, for programs and people (RFC 9457): the field is named, and nothing was changed.

use std::fmt;

use axum::response::{IntoResponse, Response};
use countersign_protocol::refusal::{DatabaseTrouble, Refusal};
use countersign_protocol::scope_token::ScopeToken;
use countersign_store::StoreError;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::http::answer::json_response;
use crate::http::json_body::BadBody;
use crate::http::trouble::Trouble;
use crate::keys::error::KeyRingError;
use crate::keys::sealing::SealError;
use crate::limits::RETRY_AFTER_S;
use crate::oauth::refusal::description_of;

/// A refusal of the admin API.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    /// A stable word, the last part of the `type`.
    word: &'static str,
    detail: Box<str>,
    field: Option<Box<str>>,
    trouble: Option<Box<Trouble>>,
}

impl Problem {
    fn new(status: StatusCode, word: &'static str, detail: impl Into<String>) -> Self {
        Self { status, word, detail: detail.into().into_boxed_str(), field: None, trouble: None }
    }

    fn of(mut self, field: &str) -> Self {
        self.field = Some(field.into());
        self
    }

    /// 400: a field is wrong.
    pub(crate) fn invalid(field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail).of(field)
    }

    /// 403: the caller would give away, or act upon, more than they have.
    pub(crate) fn not_yours(field: &str, missing: &ScopeToken) -> Self {
        let detail = format!("this takes {missing} of admin-api, which your token does not hold");
        Self::new(StatusCode::FORBIDDEN, "not-yours", detail).of(field)
    }

    /// 403: the call asks for more than its path says.
    pub(crate) fn scope_missing(scope: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "scope-missing", format!("your token does not hold {scope} of admin-api"))
    }

    /// 403: the caller's right ended while the call was under way.
    pub(crate) fn rights_ended(reason: impl fmt::Display) -> Self {
        let detail = format!("your right to make this change ended meanwhile ({reason}), and nothing was changed");
        Self::new(StatusCode::FORBIDDEN, "rights-ended", detail)
    }

    /// 401: the person's session ended while the call was under way.
    pub(crate) fn session_ended() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "session-ended", "the session ended meanwhile, and nothing was changed")
    }

    /// 404: there is no such thing.
    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        let shown: String = id.chars().take(100).collect();
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no {what} {shown}"))
    }

    /// 409: as things are, this cannot be done.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// 409: somebody else, or another of them, has this already.
    pub(crate) fn taken(field: &str, detail: impl Into<String>) -> Self {
        Self::conflict(detail).of(field)
    }

    /// 412: it has been changed since it was read (RFC 9110 §13.1.1).
    pub(crate) fn changed_meanwhile() -> Self {
        let detail = "it was changed since you read it: read it again, and send its ETag as If-Match";
        Self::new(StatusCode::PRECONDITION_FAILED, "changed-meanwhile", detail).of("If-Match")
    }

    /// 500: our fault.
    pub(crate) fn internal(reason: impl fmt::Display) -> Self {
        tracing::error!(%reason, "an administrative request failed");
        let detail = "the server failed; its log says why, under the request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server-error", detail)
    }

    fn unavailable(trouble: DatabaseTrouble) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", format!("{trouble}; try again shortly"))
    }

    fn troubled(kind: DatabaseTrouble, reason: String, is_conflict: bool) -> Self {
        Self { trouble: Some(Box::new(Trouble { kind, reason, is_conflict })), ..Self::unavailable(kind) }
    }

    /// The same of a change that was committed: it must not be made again, whatever else failed.
    pub(crate) fn after_commit(mut self) -> Self {
        if let Some(trouble) = &mut self.trouble {
            trouble.is_conflict = false;
        }
        self
    }
}

impl Problem {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What is said at a terminal: also what the database says, and what to do.
    pub fn for_operator(&self) -> String {
        match &self.trouble {
            Some(trouble) => format!("{}: {}", trouble.kind, trouble.reason),
            None => self.to_string(),
        }
    }

    /// What the database could not do, if that is the reason.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_deref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}", self.detail),
            None => f.write_str(&self.detail),
        }
    }
}

impl std::error::Error for Problem {}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Taken(name) => Self::conflict(format!("{name} is taken")),
            StoreError::Unavailable(trouble, reason) => Self::troubled(trouble, reason, false),
            StoreError::Conflict(reason) => Self::troubled(DatabaseTrouble::Slow, reason, true),
            other => Self::internal(other),
        }
    }
}

impl From<KeyRingError> for Problem {
    fn from(error: KeyRingError) -> Self {
        match error {
            KeyRingError::Store(error) => error.into(),
            other => Self::internal(other),
        }
    }
}

impl From<SealError> for Problem {
    fn from(error: SealError) -> Self {
        Self::internal(error)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::BodyTooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too large"),
            Refusal::Host => Self::invalid("Host", description_of(&refusal)),
            Refusal::ForeignHost => {
                Self::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", description_of(&refusal)).of("Host")
            }
            Refusal::TransferEncoding => Self::invalid("Transfer-Encoding", description_of(&refusal)),
            Refusal::BrokenBody | Refusal::LateBody => {
                Self::invalid("body", "the body did not arrive whole and in time")
            }
            Refusal::Overloaded(reason) => {
                tracing::debug!(reason, "an administrative request is refused");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "more is asked than can be done; try again shortly",
                )
            }
            Refusal::DatabaseUnavailable(trouble) => Self::unavailable(trouble),
            Refusal::StaleRegistry => Self::unavailable(DatabaseTrouble::Lost),
            other => Self::internal(other),
        }
    }
}

impl From<BadBody> for Problem {
    fn from(bad: BadBody) -> Self {
        match bad {
            BadBody::NotJson => {
                let detail = "send the body as application/json";
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", detail).of("Content-Type")
            }
            BadBody::Field { field, what } => Self::invalid(&field, what),
            BadBody::Unread(refusal) => refusal.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, word, detail, field, trouble } = self;
        let mut body = json!({
            "type": format!("urn:countersign:problem:{word}"),
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "detail": detail,
        });
        if let Some(field) = field {
            body["field"] = json!(field);
        }
        let mut response = json_response(status, body.to_string());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        if let Some(trouble) = trouble {
            response.extensions_mut().insert(*trouble);
        }
        response
    }
}

/// No such address.
pub(crate) async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this address; see /admin/v1/openapi.json")
}

/// An address that exists, asked by a method that it does not take.
pub(crate) async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", "this address does not take this method")
}
