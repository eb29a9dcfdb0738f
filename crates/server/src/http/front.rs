//! What happens before and after the router: identifies the caller, checks the host, and normalizes the guide's
//! spelling of paths.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::response::Response;
use countersign_protocol::issuer::Issuer;
use countersign_protocol::refusal::Refusal;
use futures_util::FutureExt;
use http::header::{EXPECT, STRICT_TRANSPORT_SECURITY, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body_util::BodyExt;
use ipnet::IpNet;
use tower::ServiceExt;

use crate::http::admission::{Kind, Place, lies_under};
use crate::http::answer;
use crate::http::body::discard_arrived;
use crate::http::caller::{Caller, REQUEST_ID, TrustedProxies};
use crate::http::host::HostNames;
use crate::http::lifecycle::Lifecycle;
use crate::http::source::Source;
use crate::http::trouble::Trouble;
use crate::http::{host, refused, request_id};
use crate::oauth::refusal;
use crate::operations::probes::is_probe;
use crate::router::{Site, for_metrics};
use crate::state::State;
use crate::usage::metrics;

/// One year (RFC 6797 §6.1.1). An https issuer stays https, because it is part of every token. A browser that comes
/// back within a year never sends an unencrypted request, from which an attacker on the network could take its session.
///
/// There is no `includeSubDomains` and no `preload`: both affect hosts that are not ours, and the latter cannot be
/// undone.
const HSTS: &str = "max-age=31536000";

/// The whole server as one service. Every request goes through [`Front::answer`].
#[derive(Clone, Debug)]
pub struct Front {
    site: Site,
    state: Arc<State>,
    proxies: TrustedProxies,
    /// The accepted host names. `None` for the metrics listener.
    hosts: Option<HostNames>,
    /// Whether browsers are told to use only https.
    is_strict: bool,
}

impl Front {
    /// Creates the front of a site that accepts the issuer's host name and these names, behind these proxies.
    pub fn new(state: State, site: Site, hosts: &[String], trusted_proxies: &[IpNet]) -> Self {
        let hosts = Some(HostNames::new(&state.issuer, hosts));
        let proxies = TrustedProxies::new(trusted_proxies);
        let is_strict = is_strict(&state.issuer);
        Self { site, state: Arc::new(state), proxies, hosts, is_strict }
    }

    /// Creates the front of the metrics listener, which only serves metrics and health checks.
    pub fn of_metrics(state: State) -> Self {
        let router = for_metrics(&state).fallback(answer::not_found).method_not_allowed_fallback(answer::wrong_method);
        let (site, proxies) = (Site { router, refuse: None }, TrustedProxies::new(&[]));
        Self { site, state: Arc::new(state), proxies, hosts: None, is_strict: false }
    }

    /// The phase of the process.
    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        &self.state.lifecycle
    }

    /// True for the metrics listener.
    pub(crate) fn is_for_operators(&self) -> bool {
        self.hosts.is_none()
    }

    /// True for a trusted proxy, whose connections carry requests of many callers.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.proxies.trusts(peer.to_canonical())
    }

    /// Returns the state of the server.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Responds to any request from `peer`. It never returns an error or panics.
    pub async fn answer(&self, mut request: Request<Body>, peer: SocketAddr) -> Response {
        let caller = self.proxies.identify(request.headers(), peer.ip(), &self.state.entropy);
        let request_id = caller.request_id.clone();
        let (began_us, method) = (self.state.clock.monotonic_us(), request.method().clone());
        let checked = self.check(&mut request);
        lower_tenant_path(&mut request);
        let route = metrics::route(request.uri().path());
        // The guide's calls have an envelope of their own.
        let has_envelope = lies_under(request.uri().path(), "/api");
        let admitted = match checked {
            Ok(()) => self.admit(&mut request, route, caller.address).await,
            Err(refusal) => Err(refusal),
        };
        let response = match admitted {
            Ok(place) => self.route(request, caller, place).await,
            Err(refusal) => {
                if !request.headers().contains_key(EXPECT) {
                    discard_arrived(request.body_mut());
                }
                refused::answer((&self.state, &self.site), &caller, &request, &refusal)
            }
        };
        let took_us = self.state.clock.monotonic_us() - began_us;
        self.state.metrics.count_request(&method, route, response.status(), took_us);
        if let Some(trouble) = response.extensions().get::<Trouble>() {
            self.state.note_trouble(trouble.kind, &trouble.reason);
        }
        let response = if has_envelope { response } else { request_id::add_to_body(response, &request_id) };
        self.finish(response, request_id)
    }

    /// Adds the headers of every response.
    fn finish(&self, mut response: Response, request_id: HeaderValue) -> Response {
        response.headers_mut().insert(REQUEST_ID, request_id);
        if self.is_strict {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
        }
        response
    }

    /// Checks that the request is for this server, and that its framing is unambiguous.
    fn check(&self, request: &mut Request<Body>) -> Result<(), Refusal> {
        host::settle_host(request)?;
        check_framing(request.headers())?;
        self.hosts.as_ref().map_or(Ok(()), |hosts| hosts.check(request))
    }

    /// Takes a place for the request, and waits for its turn. A request with a body takes its turn after reading it. If
    /// the turn would come too late, the request is refused here, unless nothing of its body has arrived: its
    /// connection would have to be closed, and opening another one costs more than reading the body. Health checks are
    /// always served, so that a busy node is not killed.
    async fn admit(
        &self,
        request: &mut Request<Body>,
        route: &'static str,
        address: IpAddr,
    ) -> Result<Option<Arc<Place>>, Refusal> {
        if self.is_for_operators() || is_probe(route) {
            return Ok(None);
        }
        let kind = Kind::of(request.method(), request.uri().path());
        let place = Place::enter(&self.state.admission, kind, Source::of(address))?;
        if request.body().is_end_stream() || request.method().is_safe() {
            place.wait_for_turn().await?;
        } else if place.is_hopeless() && begins_to_arrive(request) {
            return Err(place.turn_away().await);
        }
        let place = Arc::new(place);
        request.extensions_mut().insert(place.clone());
        Ok(Some(place))
    }

    async fn route(&self, mut request: Request<Body>, caller: Caller, place: Option<Arc<Place>>) -> Response {
        request.headers_mut().insert(REQUEST_ID, caller.request_id.clone());
        let request_id = caller.request_id.clone();
        request.extensions_mut().insert(caller);
        // A separate task would cost a context switch per request. A panic is caught here instead.
        let mut answering = pin!(AssertUnwindSafe(self.site.router.clone().oneshot(request)).catch_unwind());
        let answered = poll_fn(|context| {
            let polled = answering.as_mut().poll(context);
            if let Some(place) = &place {
                place.note_work();
            }
            polled
        });
        match answered.await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                tracing::error!(request_id = request_id.to_str().unwrap_or_default(), "a handler panicked");
                refusal::internal()
            }
        }
    }
}

/// True if a part of the body has arrived, which is then read. A client that expects `100 Continue` has sent nothing,
/// and polling its body would request it.
fn begins_to_arrive(request: &mut Request<Body>) -> bool {
    !request.headers().contains_key(EXPECT) && request.body_mut().frame().now_or_never().is_some()
}

/// Fails if the body has another transfer coding than `chunked` alone.
///
/// We decode no other coding. If a peer interprets `gzip, chunked` or a duplicate header differently, it could see
/// another request start inside this body (request smuggling, RFC 9112 §6.1 and §11.2).
fn check_framing(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Refusal::TransferEncoding),
    }
}

/// True if the issuer is https with a host name that belongs to this server alone. `localhost` belongs to every program
/// on a machine. If a browser enforced https for it, it could no longer reach the others, on any port.
fn is_strict(issuer: &Issuer) -> bool {
    let (host, _) = issuer.authority();
    issuer.is_https() && (host.parse::<IpAddr>().is_ok() || !host::is_loopback_name(&host))
}

/// Converts the first two segments of a tenant path to lower case, because the guide's clients write them in any case.
///
/// This cannot be a layer in the router, because layers run after routing.
pub fn lower_tenant_path(request: &mut Request<Body>) {
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
