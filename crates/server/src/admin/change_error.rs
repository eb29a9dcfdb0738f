//! Why an administrative call was refused. The error names the field. Nothing was changed.

use std::fmt;

use countersign_protocol::refusal::DatabaseTrouble;
use countersign_protocol::scope_token::ScopeToken;
use countersign_store::StoreError;

use crate::http::trouble::Trouble;
use crate::keys::error::KeyRingError;
use crate::keys::sealing::SealError;

/// The kind of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A field is invalid.
    Invalid,
    /// The body is not JSON.
    NotJson,
    /// The body is too large.
    TooLarge,
    /// The request names another server.
    Misdirected,
    /// The user's session has ended.
    SessionEnded,
    /// The change would exceed the caller's own rights.
    NotYours,
    /// The call requires a scope in addition to the one for its path.
    ScopeMissing,
    /// The caller lost the required right during the call.
    RightsEnded,
    /// The object does not exist.
    NotFound,
    /// The path does not support the method.
    WrongMethod,
    /// The change conflicts with the current state.
    Conflict,
    /// The object has changed since the caller read it.
    ChangedMeanwhile,
    /// The database or the server is temporarily unavailable.
    Unavailable,
    /// An internal error.
    Internal,
}

/// The error of an administrative call.
#[derive(Debug)]
pub struct ChangeError {
    kind: Kind,
    detail: Box<str>,
    field: Option<Box<str>>,
    trouble: Option<Box<Trouble>>,
}

impl ChangeError {
    /// Creates an error with a one-sentence explanation.
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into().into_boxed_str(), field: None, trouble: None }
    }

    /// Sets the field.
    pub(super) fn of(mut self, field: &str) -> Self {
        self.field = Some(field.into());
        self
    }

    /// A field is invalid.
    pub(crate) fn invalid(field: &str, detail: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, detail).of(field)
    }

    /// The change would exceed the caller's own rights.
    pub(crate) fn not_yours(field: &str, missing: &ScopeToken) -> Self {
        Self::new(Kind::NotYours, format!("your token lacks the scopes {missing} of admin-api")).of(field)
    }

    /// The call requires another scope.
    pub(crate) fn scope_missing(scope: &str) -> Self {
        Self::new(Kind::ScopeMissing, format!("your token lacks the scope {scope} of admin-api"))
    }

    /// The caller lost the required right during the call.
    pub(crate) fn rights_ended(reason: impl fmt::Display) -> Self {
        let detail = format!("you no longer have the right to make this change ({reason}); nothing was changed");
        Self::new(Kind::RightsEnded, detail)
    }

    /// The user's session ended during the call.
    pub(crate) fn session_ended() -> Self {
        Self::new(Kind::SessionEnded, "the session has ended; nothing was changed")
    }

    /// The object does not exist.
    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        let shown: String = id.chars().take(100).collect();
        Self::new(Kind::NotFound, format!("there is no {what} {shown}"))
    }

    /// The change conflicts with the current state.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, detail)
    }

    /// The value is already used by another object, or already set.
    pub(crate) fn taken(field: &str, detail: impl Into<String>) -> Self {
        Self::conflict(detail).of(field)
    }

    /// The object has changed since the caller read it (RFC 9110 §13.1.1).
    pub(crate) fn changed_meanwhile() -> Self {
        let detail = "the object changed since you read it; read it again and send its ETag as If-Match";
        Self::new(Kind::ChangedMeanwhile, detail).of("If-Match")
    }

    /// An internal error, which is logged here.
    pub(crate) fn internal(reason: impl fmt::Display) -> Self {
        tracing::error!(%reason, "an administrative request failed");
        Self::new(Kind::Internal, "internal error; search the server's log for the request ID")
    }

    pub(super) fn unavailable(trouble: DatabaseTrouble) -> Self {
        Self::new(Kind::Unavailable, format!("{trouble}; try again shortly"))
    }

    fn troubled(kind: DatabaseTrouble, reason: String, is_conflict: bool) -> Self {
        Self { trouble: Some(Box::new(Trouble { kind, reason, is_conflict })), ..Self::unavailable(kind) }
    }

    /// Marks the change as committed. It must not be repeated, whatever else failed.
    pub(crate) fn after_commit(mut self) -> Self {
        if let Some(trouble) = &mut self.trouble {
            trouble.is_conflict = false;
        }
        self
    }

    /// The kind of error.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The explanation.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The invalid field.
    pub(super) fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// Returns a message for the operator's terminal, including the database's error and what to do.
    pub fn for_operator(&self) -> String {
        match &self.trouble {
            Some(trouble) => StoreError::Unavailable(trouble.kind, trouble.reason.clone()).to_string(),
            None => self.to_string(),
        }
    }

    /// Returns the database's failure, if it is the reason.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_deref()
    }
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}", self.detail),
            None => f.write_str(&self.detail),
        }
    }
}

impl std::error::Error for ChangeError {}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Taken(name) => Self::conflict(format!("{name} is taken")),
            StoreError::Unavailable(trouble, reason) => Self::troubled(trouble, reason, false),
            StoreError::Conflict(reason) => Self::troubled(DatabaseTrouble::Slow, reason, true),
            StoreError::Url(_)
            | StoreError::SharedConnections
            | StoreError::Encoding(_)
            | StoreError::Newer(_)
            | StoreError::Migration(_)
            | StoreError::Broken { .. }
            | StoreError::Refused(_) => Self::internal(error),
        }
    }
}

impl From<KeyRingError> for ChangeError {
    fn from(error: KeyRingError) -> Self {
        match error {
            KeyRingError::Store(error) => error.into(),
            KeyRingError::Sealed(..)
            | KeyRingError::Key(..)
            | KeyRingError::OtherSealingKey
            | KeyRingError::Moved(_) => Self::internal(error),
        }
    }
}

impl From<SealError> for ChangeError {
    fn from(error: SealError) -> Self {
        Self::internal(error)
    }
}
