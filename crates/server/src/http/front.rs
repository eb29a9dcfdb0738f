//! Before and after the router: who calls, whether this server is meant, and the guide's spelling of paths.

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

use crate::http::admission::{Kind, Place};
use crate::http::answer;
use crate::http::body::discard_arrived;
use crate::http::caller::{Caller, REQUEST_ID, TrustedProxies};
use crate::http::host::HostNames;
use crate::http::lifecycle::Lifecycle;
use crate::http::trouble::Trouble;
use crate::http::{host, refused};
use crate::oauth::refusal;
use crate::operations::probes::is_probe;
use crate::router::{Site, for_metrics};
use crate::state::State;
use crate::usage::metrics;

/// A year (RFC 6797 §6.1.1). An https issuer stays https, because it is in every token. A browser that comes back within a
/// year never sends a request in clear text, where an attacker on the network could take its session.
///
/// No `includeSubDomains` and no `preload`: both bind hosts that are not ours, and the latter cannot be taken back.
const HSTS: &str = "max-age=31536000";

/// The whole server as one service: every request that arrives goes through [`Front::answer`].
#[derive(Clone, Debug)]
pub struct Front {
    site: Site,
    state: Arc<State>,
    proxies: TrustedProxies,
    /// The names that may be asked for; `None` where only operators ask.
    hosts: Option<HostNames>,
    /// Whether browsers are told to ask by https only.
    is_strict: bool,
}

impl Front {
    /// A front for a site that answers under the issuer's name and these, behind these proxies.
    pub fn new(state: State, site: Site, hosts: &[String], trusted_proxies: &[IpNet]) -> Self {
        let hosts = Some(HostNames::new(&state.issuer, hosts));
        let proxies = TrustedProxies::new(trusted_proxies);
        let is_strict = is_strict(&state.issuer);
        Self { site, state: Arc::new(state), proxies, hosts, is_strict }
    }

    /// A front that answers with the metrics and to health probes, and nothing else.
    pub fn of_metrics(state: State) -> Self {
        let router = for_metrics(&state).fallback(answer::not_found).method_not_allowed_fallback(answer::wrong_method);
        let (site, proxies) = (Site { router, refuse: None }, TrustedProxies::new(&[]));
        Self { site, state: Arc::new(state), proxies, hosts: None, is_strict: false }
    }

    /// Where the process is in its life.
    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        &self.state.lifecycle
    }

    /// True if only operators ask here.
    pub(crate) fn is_for_operators(&self) -> bool {
        self.hosts.is_none()
    }

    /// True for a proxy that is trusted: its connections are those of many callers.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.proxies.trusts(peer.to_canonical())
    }

    /// What every request reaches.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Answers one request of `peer`, whatever it is: no error and no panic leaves here.
    pub async fn answer(&self, mut request: Request<Body>, peer: SocketAddr) -> Response {
        let caller = self.proxies.identify(request.headers(), peer.ip(), &self.state.entropy);
        let request_id = caller.request_id.clone();
        let (began_us, method) = (self.state.clock.monotonic_us(), request.method().clone());
        let checked = self.check(&mut request);
        lower_tenant_path(&mut request);
        let route = metrics::route(request.uri().path());
        let admitted = match checked {
            Ok(()) => self.admit(&mut request, route).await,
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
        self.finish(response, request_id)
    }

    /// The headers of every answer.
    fn finish(&self, mut response: Response, request_id: HeaderValue) -> Response {
        response.headers_mut().insert(REQUEST_ID, request_id);
        if self.is_strict {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
        }
        response
    }

    /// Whether the request is for this server, and framed in one way.
    fn check(&self, request: &mut Request<Body>) -> Result<(), Refusal> {
        host::settle_host(request)?;
        check_framing(request.headers())?;
        self.hosts.as_ref().map_or(Ok(()), |hosts| hosts.check(request))
    }

    /// A place among the requests that are worked on, and its turn; a request with a body takes its turn when it has read
    /// that. If its turn would come too late, it is refused here, unless nothing of its body has arrived: its connection would
    /// have to be closed, and opening another costs more than reading the body. Operators are always heard: a node that has
    /// much to do must not be ended for being ill.
    async fn admit(&self, request: &mut Request<Body>, route: &'static str) -> Result<Option<Arc<Place>>, Refusal> {
        if self.is_for_operators() || is_probe(route) {
            return Ok(None);
        }
        let kind = Kind::of(request.method(), request.uri().path());
        let place = Place::enter(&self.state.admission, kind)?;
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
        // A task of its own would cost a switch for each request; a panic is caught where it is.
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

/// True if some of the body has arrived, which is then taken. A client that expects `100 Continue` has sent nothing, and
/// looking for its body asks for it.
fn begins_to_arrive(request: &mut Request<Body>) -> bool {
    !request.headers().contains_key(EXPECT) && request.body_mut().frame().now_or_never().is_some()
}

/// Err if the body is framed by another transfer coding than `chunked` alone.
///
/// We decode no other, and a peer that reads `gzip, chunked` or a doubled header otherwise than we do would see another
/// request begin where we see this one's body (request smuggling, RFC 9112 §6.1 and §11.2).
fn check_framing(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Refusal::TransferEncoding),
    }
}

/// True if the issuer is https under a name that is this server's alone: `localhost` belongs to every program on a
/// machine, and a browser that is strict about it would not reach the others, whatever their port.
fn is_strict(issuer: &Issuer) -> bool {
    let (host, _) = issuer.authority();
    issuer.is_https() && (host.parse::<IpAddr>().is_ok() || !host::is_loopback_name(&host))
}

/// Lower-cases the first two segments when they spell a tenant path, which the guide's clients write in any case.
///
/// A layer in the router would run after routing, so this stands before it.
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
