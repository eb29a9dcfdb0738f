//! Why an administrative call was refused: the field is named, and nothing was changed.

use std::fmt;

use countersign_protocol::refusal::DatabaseTrouble;
use countersign_protocol::scope_token::ScopeToken;
use countersign_store::StoreError;

use crate::http::trouble::Trouble;
use crate::keys::error::KeyRingError;
use crate::keys::sealing::SealError;

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A field is wrong.
    Invalid,
    /// The body is not JSON.
    NotJson,
    /// The body is too large.
    TooLarge,
    /// The request names another server.
    Misdirected,
    /// The person's session has ended.
    SessionEnded,
    /// The caller would give away, or act upon, more than they hold.
    NotYours,
    /// The call takes another scope than its path says.
    ScopeMissing,
    /// The caller's right ended while the call was under way.
    RightsEnded,
    /// There is no such thing.
    NotFound,
    /// The address does not take the method.
    WrongMethod,
    /// As things are, this cannot be done.
    Conflict,
    /// It has been changed since it was read.
    ChangedMeanwhile,
    /// The database, or the server, cannot do it now.
    Unavailable,
    /// The server failed.
    Internal,
}

/// A refusal of an administrative call.
#[derive(Debug)]
pub struct ChangeError {
    kind: Kind,
    detail: Box<str>,
    field: Option<Box<str>>,
    trouble: Option<Box<Trouble>>,
}

impl ChangeError {
    /// A refusal of a kind, in a sentence.
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into().into_boxed_str(), field: None, trouble: None }
    }

    /// The same, of a field.
    pub(super) fn of(mut self, field: &str) -> Self {
        self.field = Some(field.into());
        self
    }

    /// A field is wrong.
    pub(crate) fn invalid(field: &str, detail: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, detail).of(field)
    }

    /// The caller would give away, or act upon, more than they have.
    pub(crate) fn not_yours(field: &str, missing: &ScopeToken) -> Self {
        Self::new(Kind::NotYours, format!("your token lacks the scopes {missing} of admin-api")).of(field)
    }

    /// The call asks for more than its path says.
    pub(crate) fn scope_missing(scope: &str) -> Self {
        Self::new(Kind::ScopeMissing, format!("your token lacks the scope {scope} of admin-api"))
    }

    /// The caller's right ended while the call was under way.
    pub(crate) fn rights_ended(reason: impl fmt::Display) -> Self {
        let detail = format!("you no longer have the right to make this change ({reason}); nothing was changed");
        Self::new(Kind::RightsEnded, detail)
    }

    /// The person's session ended while the call was under way.
    pub(crate) fn session_ended() -> Self {
        Self::new(Kind::SessionEnded, "the session has ended; nothing was changed")
    }

    /// There is no such thing.
    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        let shown: String = id.chars().take(100).collect();
        Self::new(Kind::NotFound, format!("there is no {what} {shown}"))
    }

    /// As things are, this cannot be done.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, detail)
    }

    /// Somebody else, or another of them, has this already.
    pub(crate) fn taken(field: &str, detail: impl Into<String>) -> Self {
        Self::conflict(detail).of(field)
    }

    /// It has been changed since it was read (RFC 9110 §13.1.1).
    pub(crate) fn changed_meanwhile() -> Self {
        let detail = "it has changed since you read it; read it again, and send its ETag as If-Match";
        Self::new(Kind::ChangedMeanwhile, detail).of("If-Match")
    }

    /// Our fault, which is logged here.
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

    /// The same of a change that was committed: it must not be made again, whatever else failed.
    pub(crate) fn after_commit(mut self) -> Self {
        if let Some(trouble) = &mut self.trouble {
            trouble.is_conflict = false;
        }
        self
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What is wrong, in a sentence.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The field that is wrong.
    pub(super) fn field(&self) -> Option<&str> {
        self.field.as_deref()
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
            KeyRingError::Sealed(..) | KeyRingError::Key(..) | KeyRingError::OtherSealingKey => Self::internal(error),
        }
    }
}

impl From<SealError> for ChangeError {
    fn from(error: SealError) -> Self {
        Self::internal(error)
    }
}
