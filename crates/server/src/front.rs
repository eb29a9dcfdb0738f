//! Before and after the router: who calls, whether there is room, and the guide's spelling of paths.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use countersign_protocol::refusal::Refusal;
use futures_util::FutureExt;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri};
use ipnet::IpNet;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::caller::{REQUEST_ID, TrustedProxies};
use crate::oauth::refusal;
use crate::router::router;
use crate::state::State;

/// The whole server as one service: every request that arrives goes through [`Front::answer`].
#[derive(Clone, Debug)]
pub struct Front {
    router: Router,
    state: State,
    proxies: TrustedProxies,
    in_flight: Arc<Semaphore>,
}

impl Front {
    /// A front for a state, with room for so many requests at once.
    pub fn new(state: State, trusted_proxies: &[IpNet], max_in_flight: usize) -> Self {
        let (proxies, in_flight) = (TrustedProxies::new(trusted_proxies), Arc::new(Semaphore::new(max_in_flight)));
        Self { router: router(&state), state, proxies, in_flight }
    }

    /// Answers one request of `peer`, whatever it is: no error and no panic leaves here.
    pub async fn answer(&self, mut request: Request<Body>, peer: SocketAddr) -> Response {
        let caller = self.proxies.identify(request.headers(), peer.ip(), &self.state.entropy);
        let request_id = caller.request_id.clone();
        let Ok(_room) = self.in_flight.try_acquire() else {
            return with_id(refusal::shed(&caller, &Refusal::Overloaded("too many requests at once")), request_id);
        };
        lower_tenant_path(&mut request);
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
        with_id(response, request_id)
    }
}

fn with_id(mut response: Response, request_id: HeaderValue) -> Response {
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

/// Lower-cases the first two segments when they spell a tenant path, which the guide's clients write in any case.
///
/// A layer in the router would run after routing, so this stands before it.
fn lower_tenant_path(request: &mut Request<Body>) {
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
