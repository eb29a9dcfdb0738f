//! The tower layer: checks the path, the token and its scope before it calls the API.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::Response;
use countersign_protocol::access_token::TokenFault;
use countersign_protocol::api::{Api, ScopeDefinition};
use countersign_protocol::claims::Claims;
use countersign_protocol::path_rule::{NormalPath, normalise};
use countersign_protocol::scope::Scope;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, StatusCode, Uri};
use tower::{Layer, Service};

use crate::rejection::Rejection;
use crate::verifier::Verifier;

/// The header with the request ID, which identifies a request in the log.
const REQUEST_ID: &str = "x-request-id";

/// Protects one API.
#[derive(Clone)]
pub struct Guard {
    verifier: Verifier,
    find_api: Arc<dyn Fn() -> Option<Arc<Api>> + Send + Sync>,
    resource_metadata: Option<Arc<str>>,
}

impl Guard {
    /// Protects the API that `find_api` returns at each request. While it returns none, all requests are refused.
    pub fn new(verifier: Verifier, find_api: impl Fn() -> Option<Arc<Api>> + Send + Sync + 'static) -> Self {
        Self { verifier, find_api: Arc::new(find_api), resource_metadata: None }
    }

    /// Adds the protected resource document to every challenge (RFC 9728 §5.1).
    pub fn with_resource_metadata(mut self, address: &str) -> Self {
        self.resource_metadata = Some(address.into());
        self
    }

    /// Checks a request. Returns its normalized path and the claims of its token.
    fn judge(&self, api: Option<&Api>, request: &Request<Body>) -> Result<(NormalPath, Claims), Rejection> {
        let path = normalise(request.uri().path()).map_err(|_| Rejection::AmbiguousPath)?;
        let token = find_bearer(request.headers())?;
        let api = api.ok_or(Rejection::InvalidToken(TokenFault::Audience))?;
        let claims = self.verifier.verify(token, &api.audience)?;
        check_scope(api, &claims.scope, request.method().as_str(), &path)?;
        Ok((path, claims))
    }

    fn reject(&self, rejection: Rejection, api: Option<&Api>, headers: &HeaderMap) -> Response {
        let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
        let realm = api.map_or("countersign", |api| api.id.as_str());
        tracing::info!(request_id, api = realm, reason = rejection.to_string(), "request refused");
        rejection.into_response(realm, self.resource_metadata.as_deref())
    }
}

/// Returns the token of the only `Authorization: Bearer` header (RFC 6750 §2.1).
fn find_bearer(headers: &HeaderMap) -> Result<&str, Rejection> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Rejection::NoToken)?;
    if values.next().is_some() {
        return Err(Rejection::SeveralAuthorizations);
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Rejection::NoToken)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(Rejection::NoToken) }
}

/// Succeeds if a rule of a granted scope allows the request. Otherwise names the narrowest scope that would.
fn check_scope(api: &Api, granted: &Scope, method: &str, path: &NormalPath) -> Result<(), Rejection> {
    let opening: Vec<&ScopeDefinition> = api.find_opening(method, path).map(|(scope, _)| scope).collect();
    if opening.iter().any(|scope| granted.contains(&scope.token)) {
        return Ok(());
    }
    let length = |scope: &&&ScopeDefinition| scope.rules.iter().map(|rule| rule.as_str().len()).max();
    let needed = opening.iter().max_by_key(length).map(|scope| scope.token.to_string());
    Err(Rejection::InsufficientScope { needed })
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.clone(), inner }
    }
}

/// A service behind a [`Guard`].
#[derive(Clone)]
pub struct Guarded<S> {
    guard: Guard,
    inner: S,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let api = (self.guard.find_api)();
        match self.guard.judge(api.as_deref(), &request) {
            Ok((path, claims)) => {
                set_path(&mut request, &path);
                request.extensions_mut().insert(VerifiedToken(Arc::new(claims)));
                Box::pin(self.inner.call(request))
            }
            Err(rejection) => {
                let response = self.guard.reject(rejection, api.as_deref(), request.headers());
                Box::pin(std::future::ready(Ok(response)))
            }
        }
    }
}

/// Passes on the path that was checked, so that the router sees the same one.
fn set_path(request: &mut Request<Body>, path: &NormalPath) {
    if request.uri().path() == path.as_str() {
        return;
    }
    let mut parts = request.uri().clone().into_parts();
    let text = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_string(),
    };
    parts.path_and_query = PathAndQuery::try_from(text).ok();
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
}

/// The verified claims of the request's token. As an extractor, it returns 500 if no guard protects the handler.
#[derive(Clone, Debug)]
pub struct VerifiedToken(pub Arc<Claims>);

impl<S: Sync> FromRequestParts<S> for VerifiedToken {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        parts.extensions.get::<Self>().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}
