//! `GET claims`: the claims of a token. `POST claims`: also checks whether they can be trusted.

use std::sync::Arc;

use axum::extract;
use countersign_protocol::access_token::{Examination, Expected, TokenFault, examine};
use countersign_protocol::api::Api;
use countersign_protocol::form::Form;
use countersign_protocol::jose::jws::UnverifiedJwt;
use countersign_protocol::secret::Secret;
use countersign_server::state::State;
use http::Uri;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::access::SignedIn;
use crate::api::envelope::{Answer, Success};
use crate::api::fault::Fault;
use crate::api::json_body::JsonBody;

/// `GET claims?token=`: the claims of any well-formed JWT, verified or not, whoever issued it (the guide's contract).
pub(crate) async fn decode(_: SignedIn, uri: Uri) -> Answer {
    let form = Form::parse(uri.query().unwrap_or_default().as_bytes());
    let form = form.map_err(|refusal| Fault::bad_request(format!("token: {refusal}")))?;
    if let Some(unknown) = form.names().find(|name| *name != "token") {
        let fault = Fault::bad_request(format!("{unknown}: unknown parameter; use token"));
        return Err(fault.with_reason("the query: unknown parameter"));
    }
    let token = form.find("token").ok_or(Fault::bad_request("token: missing"))?;
    Ok(Success::new(unverified_claims(token)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    token: Secret,
}

/// `POST claims`: the claims, and for each check a verdict with its reason.
pub(crate) async fn judge(
    extract::State(state): extract::State<Arc<State>>,
    _: SignedIn,
    JsonBody(Token { token }): JsonBody<Token>,
) -> Answer {
    let token = token.expose().trim();
    let claims = unverified_claims(token)?;
    let api = find_api(&state, &claims);
    let audience = api.as_ref().map_or("", |api| api.audience.as_str());
    let expected = Expected { issuer: state.issuer.as_str(), audience: Some(audience) };
    let examined = examine(token, state.registry.as_ref(), expected, state.now());
    let examined = examined.map_err(|fault| Fault::bad_request(format!("token: {fault}")))?;
    Ok(Success::new(json!({ "claims": claims, "checks": verdicts(&state, api.as_deref(), examined) })))
}

fn unverified_claims(token: &str) -> Result<Map<String, Value>, Fault> {
    let jwt = UnverifiedJwt::parse(token).map_err(|error| Fault::bad_request(format!("token: not a JWT: {error}")))?;
    Ok(jwt.claims().clone())
}

/// Returns the API that the token names as its audience.
fn find_api(state: &State, claims: &Map<String, Value>) -> Option<Arc<Api>> {
    let registry = state.registry.current();
    let named = match claims.get("aud")? {
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        one => Vec::from_iter(one.as_str()),
    };
    named.into_iter().find_map(|audience| registry.find_api_by_audience(audience).cloned())
}

/// Returns each check with its verdict, in the order in which a guard runs them.
fn verdicts(state: &State, api: Option<&Api>, examined: Examination) -> Vec<Value> {
    let Examination { signature, issuer, audience, time, revocation } = examined;
    let key = || format!("signed by a key of {}", state.issuer);
    let api = || format!("the token is for the API {}", api.map_or("", |api| api.id.as_str()));
    vec![
        verdict("signature", signature, key),
        verdict("issuer", issuer, || format!("issued by {}", state.issuer)),
        verdict("audience", audience, api),
        verdict("time", time, || "the token is not expired".to_owned()),
        verdict("revocation", revocation, || {
            "neither the token nor its client, user or refresh family was revoked".to_owned()
        }),
    ]
}

fn verdict(check: &str, found: Result<(), TokenFault>, why: impl FnOnce() -> String) -> Value {
    let holds = found.is_ok();
    let reason = found.map_or_else(|fault| fault.to_string(), |()| why());
    json!({ "check": check, "holds": holds, "reason": reason })
}
