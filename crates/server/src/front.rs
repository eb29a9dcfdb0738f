//! Before and after the router: who calls, under which id, whether there is room, and the guide's spelling of paths.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use countersign_protocol::jose::base64url;
use countersign_protocol::refusal::Refusal;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request, Uri};
use ipnet::IpNet;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::oauth::refusal;
use crate::state::State;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The longest request id that is believed from a proxy, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// Who sent a request, and the id under which the log knows it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The address of the person or service, behind any trusted proxy.
    pub address: IpAddr,
    /// The value of `X-Request-Id`.
    pub request_id: HeaderValue,
}

impl Caller {
    /// The request id as text.
    pub fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }
}

/// The whole server as one service: every request that arrives goes through [`Front::answer`].
#[derive(Clone, Debug)]
pub struct Front {
    router: Router,
    state: State,
    trusted_proxies: Arc<[IpNet]>,
    in_flight: Arc<Semaphore>,
}

impl Front {
    /// A front for a state, with room for so many requests at once.
    pub fn new(state: State, trusted_proxies: &[IpNet], max_in_flight: usize) -> Self {
        let router = crate::router::router(&state);
        Self {
            router,
            state,
            trusted_proxies: trusted_proxies.into(),
            in_flight: Arc::new(Semaphore::new(max_in_flight)),
        }
    }

    /// Answers one request of `peer`, whatever it is: no error and no panic leaves here.
    pub async fn answer(&self, mut request: Request<Body>, peer: SocketAddr) -> Response {
        let caller = self.identify(&request, peer.ip());
        lower_tenant_path(&mut request);
        let request_id = caller.request_id.clone();
        let Ok(_room) = self.in_flight.try_acquire() else {
            return with_id(refusal::shed(&caller), request_id);
        };
        request.headers_mut().insert(REQUEST_ID, request_id.clone());
        request.extensions_mut().insert(caller);
        // A task of its own would cost a switch for each request; a panic is caught where it is.
        let answering = std::panic::AssertUnwindSafe(self.router.clone().oneshot(request));
        let response = match futures_util::FutureExt::catch_unwind(answering).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                tracing::error!(request_id = ?request_id, "a handler panicked");
                refusal::internal()
            }
        };
        with_id(response, request_id)
    }

    /// An inbound request id and `X-Forwarded-For` are believed only from a trusted proxy.
    fn identify(&self, request: &Request<Body>, peer: IpAddr) -> Caller {
        let header = |name: &str| request.headers().get(name);
        if !self.is_trusted(peer) {
            return Caller { address: peer.to_canonical(), request_id: self.new_request_id() };
        }
        let plausible = |id: &&HeaderValue| {
            (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        let inbound = header(REQUEST_ID.as_str()).filter(plausible).cloned();
        let chain: Vec<&str> = request
            .headers()
            .get_all(FORWARDED_FOR)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        Caller { address: self.find_origin(peer, &chain), request_id: inbound.unwrap_or_else(|| self.new_request_id()) }
    }

    /// The last address in the chain that is no trusted proxy: anything before it is hearsay.
    fn find_origin(&self, peer: IpAddr, chain: &[&str]) -> IpAddr {
        let mut origin = peer.to_canonical();
        for hop in chain.iter().rev() {
            let Ok(address) = hop.trim().parse::<IpAddr>() else {
                break;
            };
            origin = address.to_canonical();
            if !self.is_trusted(origin) {
                break;
            }
        }
        origin
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(&address.to_canonical()))
    }

    fn new_request_id(&self) -> HeaderValue {
        HeaderValue::from_str(&base64url(&self.state.entropy.bytes::<12>())).unwrap_or(HeaderValue::from_static("none"))
    }
}

fn with_id(mut response: Response, request_id: HeaderValue) -> Response {
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

/// The refusal when too many requests are under way at once.
pub(crate) fn overloaded() -> Refusal {
    Refusal::Overloaded("too many requests at once")
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
