//! The envelope of every response under `/api`: the guide's format for success, and a stable code for every failure.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{self, MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use countersign_server::http::again;
use countersign_server::http::answer::json_response;
use countersign_server::http::caller::Caller;
use countersign_server::http::redact::without_secrets;
use countersign_server::state::State;
use futures_util::FutureExt;
use http::header::SET_COOKIE;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::api::fault::{Fault, Reason};
use crate::api::timing::Timing;
use crate::api::xsrf::check_origin;

/// The result of a call.
pub(crate) type Answer = Result<Success, Fault>;

/// A successful call. It has no `Debug`, because it may contain tokens.
pub(crate) struct Success {
    result: Value,
    cookies: Vec<HeaderValue>,
    timing: Option<Timing>,
}

impl Success {
    /// Returns `{"Success": true, "Result": result, "ErrorMessage": null}`.
    pub(crate) fn new(result: impl Into<Value>) -> Self {
        Self { result: result.into(), cookies: Vec::new(), timing: None }
    }

    /// Sets cookies in the response.
    pub(crate) fn with_cookies(mut self, cookies: impl IntoIterator<Item = HeaderValue>) -> Self {
        self.cookies.extend(cookies);
        self
    }

    /// Adds the duration and the status of an endpoint that was called.
    pub(crate) fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = Some(timing);
        self
    }
}

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        let body = json!({ "Success": true, "Result": self.result, "ErrorMessage": null });
        let mut response = json_response(StatusCode::OK, body.to_string());
        for cookie in self.cookies {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        if let Some(timing) = self.timing {
            timing.set(&mut response);
        }
        response
    }
}

/// Wraps every call: turns a panic into a fault, and logs every fault with its exact reason and the request ID.
pub(crate) async fn around(
    extract::State(state): extract::State<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let caller = request.extensions().get::<Caller>().cloned();
    // An unknown path may contain a secret, so only names of known calls are logged.
    let call = request.extensions().get::<MatchedPath>().filter(|matched| !matched.as_str().contains('{')).cloned();
    let answered = AssertUnwindSafe(answer(&state, request, next)).catch_unwind().await;
    let response = answered.unwrap_or_else(|_| Fault::internal("a handler panicked").into_response());
    if let (Some(caller), Some(Reason { code, text })) = (caller, response.extensions().get::<Reason>()) {
        let (request_id, address, reason) = (caller.request_id(), caller.address, without_secrets(text));
        let call = call.as_ref().map_or("unknown", MatchedPath::as_str);
        if response.status().is_server_error() {
            tracing::error!(request_id, %address, call, error = %code, reason, "call failed");
        } else {
            tracing::info!(request_id, %address, call, error = %code, reason, "call refused");
        }
    }
    response
}

async fn answer(state: &State, request: Request, next: Next) -> Response {
    match check(state, &request) {
        Ok(()) => again::answer(request, next).await,
        Err(fault) => fault.into_response(),
    }
}

/// Checks what holds for all calls, before the caller is identified.
fn check(state: &State, request: &Request) -> Result<(), Fault> {
    check_origin(state, request.headers())?;
    let has_query = request.uri().query().is_some_and(|query| !query.is_empty());
    if has_query && !request.method().is_safe() {
        return Err(Fault::bad_request("the query: not allowed, because URLs are logged; use the body"));
    }
    Ok(())
}

/// Returns the fault for an unknown call.
pub(crate) async fn not_found() -> Fault {
    Fault::new(StatusCode::NOT_FOUND, "not_found", "unknown call; see /api/openapi.json")
}

/// Returns the fault for a wrong method.
pub(crate) async fn wrong_method() -> Fault {
    Fault::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "method not allowed for this call")
}
