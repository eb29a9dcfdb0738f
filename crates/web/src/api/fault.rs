//! The failure of a call under `/api`: a status, a stable code, a message for people and a reason for the log.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use countersign_client::ClientError;
use countersign_protocol::refusal::Refusal;
use countersign_server::admin::change_error::{ChangeError, Kind};
use countersign_server::http::answer::json_response;
use countersign_server::http::trouble::Trouble;
use countersign_server::keys::error::KeyRingError;
use countersign_server::keys::sealing::SealError;
use countersign_server::limits::{LOCKED_RETRY_AFTER_S, MAX_BODY_BYTES, RETRY_AFTER_S};
use countersign_server::oauth::refusal::description_of;
use countersign_server::state::State;
use countersign_store::StoreError;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::api::timing::Timing;

/// The message when the details only concern the operator.
const UNDECIDED: &str = "temporarily unavailable; try again shortly";

/// A failed call.
#[derive(Debug)]
pub(crate) struct Fault {
    status: StatusCode,
    code: Cow<'static, str>,
    message: Box<str>,
    /// The exact reason for the log, if the message says less or might repeat a secret.
    reason: Option<Box<str>>,
    retry_after_s: Option<i64>,
    timing: Option<Box<Timing>>,
    trouble: Option<Trouble>,
}

/// The log's view of a fault, stored in the response's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Reason {
    /// The `ErrorCode` in the response.
    pub(crate) code: Cow<'static, str>,
    /// The exact reason.
    pub(crate) text: Box<str>,
}

impl Fault {
    /// Creates a fault with a stable code and a message for people.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let (code, message) = (Cow::Borrowed(code), message.into().into_boxed_str());
        Self { status, code, message, reason: None, retry_after_s: None, timing: None, trouble: None }
    }

    /// 400: a field of the request is invalid. The message begins with its name.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 401: no user is signed in.
    pub(crate) fn sign_in_needed() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "sign_in_needed", "sign in first; there is no session, or it has ended")
    }

    /// 401: a wrong password or code, or an unknown user. All look the same.
    pub(crate) fn wrong_answer(message: &'static str, reason: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "wrong_answer", message).with_reason(reason)
    }

    /// 403: the request did not come from one of our own pages, or might not have.
    pub(crate) fn xsrf(reason: &'static str) -> Self {
        let message = "missing or wrong XSRF token, or the request comes from another site";
        Self::new(StatusCode::FORBIDDEN, "xsrf", message).with_reason(reason)
    }

    /// 403: the user lacks the required role.
    pub(crate) fn not_allowed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "not_allowed", message)
    }

    /// 500: an internal error.
    pub(crate) fn internal(reason: impl Into<String>) -> Self {
        let message = "internal error; search the server's log for the request ID";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message).with_reason(reason)
    }

    /// Sets a more exact reason for the log.
    pub(crate) fn with_reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into().into_boxed_str());
        self
    }

    /// Sets the duration of the endpoint that was called.
    pub(crate) fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = Some(Box::new(timing));
        self
    }

    /// Replaces the message of a wrong answer, to hide which of several values was wrong.
    pub(crate) fn wording_wrong_answer(mut self, message: &'static str) -> Self {
        if self.code == "wrong_answer" {
            self.message = message.into();
        }
        self
    }

    fn retry_after(mut self, after_s: i64) -> Self {
        self.retry_after_s = Some(after_s);
        self
    }
}

impl From<Refusal> for Fault {
    /// Converts a refusal that occurs before a call reaches an OAuth endpoint.
    fn from(refusal: Refusal) -> Self {
        use Refusal as R;
        let reason = refusal.to_string();
        let fault = match refusal {
            R::BodyTooLarge => {
                let message = format!("the body is larger than {MAX_BODY_BYTES} bytes");
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
            }
            R::Host | R::TransferEncoding => Self::bad_request(description_of(&refusal)),
            R::ForeignHost => Self::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", description_of(&refusal)),
            R::BrokenBody | R::LateBody => Self::bad_request("the body is incomplete or did not arrive in time"),
            R::TooManyAttempts { retry_after_s, .. } => too_many_attempts(retry_after_s),
            R::UserLocked => user_locked(),
            R::Overloaded(_) | R::StaleRegistry => unavailable(UNDECIDED, RETRY_AFTER_S),
            R::DatabaseUnavailable(_) => unavailable(description_of(&refusal), RETRY_AFTER_S),
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
            | R::Internal(_) => Self::internal(refusal.to_string()),
        };
        fault.with_reason(reason)
    }
}

impl From<ChangeError> for Fault {
    /// Converts the failure of a change that a user makes.
    fn from(error: ChangeError) -> Self {
        let trouble = error.trouble().cloned();
        let fault = match error.kind() {
            Kind::SessionEnded => Self::sign_in_needed().with_reason(error.to_string()),
            Kind::NotYours | Kind::ScopeMissing | Kind::RightsEnded => Self::not_allowed(error.to_string()),
            Kind::Unavailable => unavailable(error.to_string(), RETRY_AFTER_S),
            // These do not occur in a user's own change.
            Kind::Invalid
            | Kind::NotJson
            | Kind::TooLarge
            | Kind::Misdirected
            | Kind::NotFound
            | Kind::WrongMethod
            | Kind::Conflict
            | Kind::ChangedMeanwhile
            | Kind::Internal => Self::internal(error.to_string()),
        };
        Self { trouble, ..fault }
    }
}

impl From<SealError> for Fault {
    fn from(error: SealError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<KeyRingError> for Fault {
    fn from(error: KeyRingError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<ClientError> for Fault {
    /// Converts the response of an endpoint, with its message, or a failure to reach it.
    ///
    /// The exact reason is already in the log under the same request ID. This one does not repeat the message, which
    /// may repeat what was sent.
    fn from(error: ClientError) -> Self {
        let reason = match &error {
            ClientError::Refused { status, error, .. } => format!("the endpoint returned {status} {error}"),
            other => other.to_string(),
        };
        let fault = match error {
            ClientError::Refused { status: 429, description, retry_after_s, .. } => {
                too_many(description.unwrap_or_default(), after(retry_after_s))
            }
            ClientError::Refused { status: 503, description, retry_after_s, .. } => {
                unavailable(description.unwrap_or_else(|| UNDECIDED.to_owned()), after(retry_after_s))
            }
            ClientError::Refused { error, description, .. } => {
                let message = description.unwrap_or_else(|| error.clone());
                let fault = Self::bad_request(message);
                Self { code: Cow::Owned(error), ..fault }
            }
            _ => {
                let message = "the authorization server is unreachable, or its response is invalid";
                Self::new(StatusCode::BAD_GATEWAY, "unreachable", message)
            }
        };
        fault.with_reason(reason)
    }
}

fn after(retry_after_s: Option<u64>) -> i64 {
    retry_after_s.and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or(RETRY_AFTER_S)
}

/// Converts a 429 of our own endpoints. They all have the same `error`, so the description tells them apart.
fn too_many(description: String, after_s: i64) -> Fault {
    let is = |refusal: &Refusal| description == description_of(refusal);
    if is(&Refusal::UserLocked) {
        return user_locked();
    }
    if is(&Refusal::TooManyAttempts { what: "", retry_after_s: after_s }) {
        return too_many_attempts(after_s);
    }
    Fault::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tokens", description).retry_after(after_s)
}

fn too_many_attempts(after_s: i64) -> Fault {
    let unit = if after_s == 1 { "second" } else { "seconds" };
    let message = format!("too many attempts; try again in {after_s} {unit}");
    Fault::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", message).retry_after(after_s)
}

/// Also the message for names that do not belong to a user.
fn user_locked() -> Fault {
    let message = "too many failed attempts for this user name; ask an administrator to unlock it";
    Fault::new(StatusCode::TOO_MANY_REQUESTS, "user_locked", message).retry_after(LOCKED_RETRY_AFTER_S)
}

fn unavailable(message: impl Into<String>, after_s: i64) -> Fault {
    Fault::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", message).retry_after(after_s)
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let Self { status, code, message, reason, retry_after_s, timing, trouble } = self;
        let body = json!({ "Success": false, "Result": null, "ErrorMessage": message, "ErrorCode": code });
        let mut response = json_response(status, body.to_string());
        if let Some(after_s) = retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after_s));
        }
        if let Some(timing) = timing {
            timing.set(&mut response);
        }
        response.extensions_mut().insert(Reason { code, text: reason.unwrap_or(message) });
        if let Some(trouble) = trouble {
            response.extensions_mut().insert(trouble);
        }
        response
    }
}

/// Converts a failure of the store within a change.
pub(crate) fn failed(state: &State) -> impl Fn(StoreError) -> Fault + '_ {
    |error| match error {
        // Not counted as a failure yet, because the call is repeated.
        StoreError::Conflict(_) => ChangeError::from(error).into(),
        error => state.store_failed(&error).into(),
    }
}

/// Runs a write. A conflict with another transaction does not count as a failure, because the call is repeated.
pub(crate) async fn conflict_apart<T>(
    write: impl Future<Output = Result<T, StoreError>>,
) -> Result<Result<T, Fault>, StoreError> {
    match write.await {
        Err(error @ StoreError::Conflict(_)) => Ok(Err(ChangeError::from(error).into())),
        written => written.map(Ok),
    }
}

/// Runs work in a separate task, which continues if the caller disconnects.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    tokio::spawn(work).await.map_err(|error| Fault::internal(error.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_an_endpoint_is_shown_but_not_logged() {
        let (status, error) = (400, "invalid_scope".to_owned());
        let description = Some("scope my-password is unknown".to_owned());
        let refused = ClientError::Refused { status, error, description, retry_after_s: None };
        let fault = Fault::from(refused);
        assert_eq!(&*fault.message, "scope my-password is unknown");
        let response = fault.into_response();
        let Reason { code, text } = response.extensions().get().expect("a reason");
        assert_eq!((&**code, &**text), ("invalid_scope", "the endpoint returned 400 invalid_scope"));
    }
}
