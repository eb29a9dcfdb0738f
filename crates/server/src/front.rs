//! Before and after the router: who calls, whether there is room, and the guide's spelling of paths.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use countersign_protocol::refusal::Refusal;
use futures_util::FutureExt;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Request, Uri, Version};
use ipnet::IpNet;
use tower::ServiceExt;

use crate::answer;
use crate::caller::{REQUEST_ID, TrustedProxies};
use crate::metrics;
use crate::oauth::refusal;
use crate::router::{for_metrics, router};
use crate::state::State;

/// The whole server as one service: every request that arrives goes through [`Front::answer`].
#[derive(Clone, Debug)]
pub struct Front {
    router: Router,
    state: Arc<State>,
    proxies: TrustedProxies,
}

impl Front {
    /// A front for a state, behind these proxies.
    pub fn new(state: State, trusted_proxies: &[IpNet]) -> Self {
        Self { router: router(&state), state: Arc::new(state), proxies: TrustedProxies::new(trusted_proxies) }
    }

    /// A front that answers with the metrics and nothing else.
    pub fn of_metrics(state: State) -> Self {
        let router = for_metrics(&state).fallback(answer::not_found).method_not_allowed_fallback(answer::wrong_method);
        Self { router, state: Arc::new(state), proxies: TrustedProxies::new(&[]) }
    }

    /// Answers one request of `peer`, whatever it is: no error and no panic leaves here.
    pub async fn answer(&self, mut request: Request<Body>, peer: SocketAddr) -> Response {
        let caller = self.proxies.identify(request.headers(), peer.ip(), &self.state.entropy);
        let request_id = caller.request_id.clone();
        if !names_one_host(&mut request) {
            return with_id(refusal::shed(&self.state, &caller, &Refusal::Host), request_id);
        }
        lower_tenant_path(&mut request);
        let (began_us, method) = (self.state.clock.monotonic_us(), request.method().clone());
        let route = metrics::route(request.uri().path());
        request.headers_mut().insert(REQUEST_ID, request_id.clone());
        request.extensions_mut().insert(caller);
        // A task of its own would cost a switch for each request; a panic is caught where it is.
        let response = match AssertUnwindSafe(self.router.clone().oneshot(request)).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                tracing::error!(request_id = request_id.to_str().unwrap_or_default(), "a handler panicked");
                refusal::internal()
            }
        };
        let took_us = self.state.clock.monotonic_us() - began_us;
        self.state.metrics.count_request(&method, route, response.status(), took_us);
        with_id(response, request_id)
    }
}

/// True if the request names one host; it is then in `Host`, also when HTTP/2's `:authority` named it.
///
/// HTTP/1.1 needs exactly one `Host` (RFC 9112 §3.2). In HTTP/2 `:authority` takes its place, and a `Host` beside it must
/// be the same (RFC 9113 §8.3.1). Two servers might otherwise take one request for different hosts.
fn names_one_host(request: &mut Request<Body>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    let (is_named, authority) = match (host, request.uri().authority()) {
        (None, None) => return request.version() < Version::HTTP_11,
        (Some(_), None) => return another.is_none(),
        (Some(host), Some(authority)) => (another.is_none() && is_same_host(host, authority), authority),
        (None, Some(authority)) => (request.version() != Version::HTTP_11, authority),
    };
    // A user's name before the host is no part of it, and has deceived readers.
    let Some(host) = HeaderValue::from_str(authority.as_str()).ok().filter(|_| !authority.as_str().contains('@'))
    else {
        return false;
    };
    if is_named {
        request.headers_mut().insert(HOST, host);
    }
    is_named
}

/// Hosts are compared without regard to case (RFC 3986 §6.2.2.1).
fn is_same_host(host: &HeaderValue, authority: &Authority) -> bool {
    host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
}

fn with_id(mut response: Response, request_id: HeaderValue) -> Response {
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

/// Lower-cases the first two segments when they spell a tenant path, which the guide's clients write in any case.
///
/// A layer in the router would run after routing, so this stands before it.
pub(crate) fn lower_tenant_path(request: &mut Request<Body>) {
    let path = request.uri().path();
    let Some((first, rest)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
        return;
    };
    let (second, tail) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let ours = |word: &&str| second.eq_ignore_ascii_case(word);
    let Some(lower) = ["token", "introspect", "revoke", "keys"].into_iter().find(ours) else {
        return;
    };
    if !first.eq_ignore_ascii_case("oauth2") || (first == "oauth2" && second == lower) {
        return;
    }
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(format!("/oauth2/{lower}{tail}{query}")).ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}
