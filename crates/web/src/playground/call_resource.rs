//! `POST callResource`: calls a demonstration resource with a token, and explains which rule decided.

use std::sync::Arc;

use axum::body::Body;
use axum::extract;
use axum::extract::Extension;
use countersign_protocol::access_token::{Expected, check};
use countersign_protocol::api::Api;
use countersign_protocol::path_rule::normalise;
use countersign_protocol::scope::Scope;
use countersign_protocol::secret::Secret;
use countersign_server::state::State;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Uri};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::access::SignedIn;
use crate::api::envelope::{Answer, Success};
use crate::api::fault::Fault;
use crate::api::json_body::JsonBody;
use crate::api::timing::Timing;
use crate::playground::resource;
use crate::playground::transport::{Inner, OwnServer, read};

/// The methods that callers can try. Resources support fewer.
const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
/// The body to post, the only one that a demonstration resource accepts.
const BODY: &str = r#"{"title":"Written from the playground"}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    token: Secret,
    method: String,
    path: String,
}

/// `POST callResource`
pub(crate) async fn call_resource(
    extract::State(state): extract::State<Arc<State>>,
    Extension(inner): Extension<Inner>,
    SignedIn { caller, .. }: SignedIn,
    JsonBody(call): JsonBody<Call>,
) -> Answer {
    let (request, shown) = build(&state, &call)?;
    let decision = decide(&state, call.token.expose().trim(), &request);
    let began_us = state.clock.monotonic_us();
    let response = read(OwnServer::new(&inner, &caller).call(request).await).await;
    let response = response.map_err(|error| Fault::internal(error.to_string()))?;
    let status = response.status().as_u16();
    let timing = Timing { name: "resource", took_us: state.clock.monotonic_us() - began_us, status: Some(status) };
    let text = |value: &HeaderValue| Value::from(String::from_utf8_lossy(value.as_bytes()));
    let headers: Map<String, Value> =
        response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let body = String::from_utf8_lossy(response.body()).into_owned();
    let result = json!({
        "request": shown,
        "status": status,
        "headers": headers,
        "body": body,
        "decision": decision,
    });
    Ok(Success::new(result).with_timing(timing))
}

/// Returns the request, and its masked form for display.
fn build(state: &State, call: &Call) -> Result<(Request<Body>, Value), Fault> {
    let method = METHODS.into_iter().find(|method| method.as_str() == call.method);
    let method = method.ok_or(Fault::bad_request("method: must be one of GET HEAD POST PUT PATCH DELETE"))?;
    let rest = call.path.strip_prefix(resource::PATH);
    if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?'])) {
        return Err(Fault::bad_request(format!("path: must begin with {}", resource::PATH)));
    }
    let path: PathAndQuery = call.path.parse().map_err(|_| Fault::bad_request("path: must be a valid URL path"))?;
    let token = HeaderValue::from_str(&format!("Bearer {}", call.token.expose().trim()));
    let mut token = token.map_err(|_| Fault::bad_request("token: must be visible ASCII"))?;
    token.set_sensitive(true);
    let has_body = method == Method::POST;
    let mut headers = json!({ "authorization": "Bearer ********" });
    if has_body {
        headers["content-type"] = "application/json".into();
    }
    let body = if has_body { BODY } else { "" };
    let url = state.issuer.join(path.as_str());
    let shown = json!({ "method": method.as_str(), "url": url, "headers": headers, "body": body });
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(path);
    request.headers_mut().insert(AUTHORIZATION, token);
    if has_body {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok((request, shown))
}

/// Returns which rule of which scope allows the request, or why none does. Uses the same check and rules as the guard.
fn decide(state: &State, token: &str, request: &Request<Body>) -> Value {
    let refused = |reason: String| json!({ "allowed": false, "scope": null, "rule": null, "reason": reason });
    let registry = state.registry.current().clone();
    let audience = state.issuer.join(resource::PATH);
    let Some(api) = registry.find_api_by_audience(&audience) else {
        return refused(format!("no API has the audience {audience}"));
    };
    let Ok(path) = normalise(request.uri().path()) else {
        return refused("the path is ambiguous, so the guard checked no rule".to_owned());
    };
    let expected = Expected { issuer: state.issuer.as_str(), audience: Some(&audience) };
    let granted = match check(token, state.registry.as_ref(), expected, state.now()) {
        Ok(claims) => claims.scope,
        Err(fault) => return refused(format!("the token is invalid, so the guard checked no rule: {fault}")),
    };
    let opening: Vec<_> = api.find_opening(request.method().as_str(), &path).collect();
    match opening.iter().find(|(scope, _)| granted.contains(&scope.token)) {
        Some((scope, rule)) => json!({
            "allowed": true,
            "scope": scope.token.to_string(),
            "rule": rule.as_str(),
            "reason": "the token has this scope, and this rule matches",
        }),
        None => refused(explain(api, &granted, opening.iter().map(|(scope, _)| scope.token.to_string()))),
    }
}

fn explain(api: &Api, granted: &Scope, opening: impl Iterator<Item = String>) -> String {
    let opening: Vec<String> = opening.collect();
    let has = if granted.is_empty() { "no scope".to_owned() } else { format!("the scopes {granted}") };
    if opening.is_empty() {
        return format!("no scope of {} allows this method and path; the token has {has}", api.id);
    }
    format!("the token has {has}; the request needs one of: {}", opening.join(", "))
}
