//! Access tokens: JWTs according to RFC 9068, with the guide's `auth_time` and `unique_name` and our `rev`.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::UnixTime;
use crate::api::Api;
use crate::claims::{Claims, Revision};
use crate::client::Client;
use crate::grant::{Grant, Subject};
use crate::issuer::Issuer;
use crate::jose::jwk::KeyId;
use crate::jose::jws::{JwsError, UnverifiedJwt};
use crate::jose::key::VerifyingKey;
use crate::revocation::Ended;
use crate::scope::Scope;

/// The `typ` of an access token (RFC 9068 §2.1).
pub const MEDIA_TYPE: &str = "at+jwt";
/// How far `iat` and `nbf` may be in the future, in seconds, because the clocks in a network differ by this much. `exp`
/// has no leeway.
pub const MAX_CLOCK_LEAD_S: i64 = 10;

/// The claims in their order in the payload. All dates are integers.
#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    iat: UnixTime,
    exp: UnixTime,
    jti: &'a str,
    scope: String,
    auth_time: UnixTime,
    unique_name: &'a str,
    rev: String,
}

/// The inputs for the payload of a new access token.
#[derive(Clone, Copy, Debug)]
pub struct NewToken<'a> {
    /// The `iss`.
    pub issuer: &'a Issuer,
    /// The API, which determines the audience and the lifetime.
    pub api: &'a Api,
    /// The client.
    pub client: &'a Client,
    /// The grant.
    pub grant: &'a Grant,
    /// The `jti`.
    pub token_id: &'a str,
    /// The number of the registry change that the grant was decided on. Any later removal of a right revokes the token.
    pub issued_change: i64,
    /// The `iat`.
    pub now: UnixTime,
}

/// Returns the payload of a new access token. `exp - iat` is exactly the API's lifetime.
pub fn payload(new: NewToken<'_>) -> Vec<u8> {
    let NewToken { issuer, api, client, grant, token_id, issued_change, now } = new;
    let (sub, unique_name, user_change) = match &grant.subject {
        Subject::Client(id) => (id.as_str(), id.as_str(), 0),
        Subject::User { id, login } => (id.as_str(), login.as_str(), issued_change),
    };
    let revision = Revision { issued_change, user_change, family: grant.family.clone() };
    let payload = Payload {
        iss: issuer.as_str(),
        sub,
        aud: api.audience.as_str(),
        client_id: client.id.as_str(),
        iat: now,
        exp: now + api.access_token_lifetime_s,
        jti: token_id,
        scope: grant.scope.to_string(),
        auth_time: grant.auth_time,
        unique_name,
        rev: revision.to_string(),
    };
    // Serializing strings and integers cannot fail.
    serde_json::to_vec(&payload).unwrap_or_default()
}

/// Provides keys, and knows whether a token was revoked.
///
/// The server implements it with its key ring and registry, and the guard with a fixed set of keys.
pub trait KeySource: Send + Sync {
    /// Fails if the available data is too old to decide.
    fn check_current(&self) -> Result<(), TokenFault>;
    /// Returns the key with this ID.
    fn find_key(&self, key_id: &KeyId) -> Option<Arc<VerifyingKey>>;
    /// Fails if the token, whose signature is valid, was revoked.
    fn check_alive(&self, claims: &Claims) -> Result<(), Ended>;
}

/// What a token must contain to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Its `iss`.
    pub issuer: &'a str,
    /// One of its `aud`, or `None` if the caller checks the audience.
    pub audience: Option<&'a str>,
}

/// Why a token is invalid. This is for the log. Callers only learn that it is invalid.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenFault {
    /// It is not a JWS, or its signature is invalid.
    #[error("{0}")]
    Jws(#[from] JwsError),
    /// Its `typ` is not `at+jwt`. It may be an ID token, for example (RFC 9068 §4).
    #[error("`typ` is not at+jwt")]
    MediaType,
    /// It names no key, or an unknown one.
    #[error("unknown signing key")]
    UnknownKey,
    /// A claim is missing or has the wrong type.
    #[error("claim `{0}` is missing or has the wrong type")]
    Claim(&'static str),
    /// It comes from another issuer.
    #[error("wrong issuer")]
    Issuer,
    /// It is for another audience.
    #[error("wrong audience")]
    Audience,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// `iat` or `nbf` is in the future.
    #[error("`iat` or `nbf` is more than {MAX_CLOCK_LEAD_S} s in the future")]
    NotYetValid,
    /// It was revoked.
    #[error("{0}")]
    Ended(#[from] Ended),
    /// The available data is too old to decide.
    #[error("the registry is stale")]
    Stale,
}

/// Checks an access token (RFC 9068 §4): signature, type, issuer, audience, time, and revocation. There is no other way
/// to check one.
pub fn check(text: &str, keys: &dyn KeySource, expected: Expected<'_>, now: UnixTime) -> Result<Claims, TokenFault> {
    let claims = check_issued(text, keys, expected, now)?;
    check_begun(claims.issued_at, claims.not_before, now)?;
    keys.check_alive(&claims)?;
    Ok(claims)
}

/// The part of [`check`] that depends neither on revocation nor on a clock that may catch up. Revoking a token requires
/// nothing more, so that a revocation is recorded whatever else is wrong with the token.
pub fn check_issued(
    text: &str,
    keys: &dyn KeySource,
    expected: Expected<'_>,
    now: UnixTime,
) -> Result<Claims, TokenFault> {
    keys.check_current()?;
    let claims = verify(UnverifiedJwt::parse(text)?, keys)?;
    check_issuer(&claims.issuer, expected)?;
    check_audience(&claims.audiences, expected)?;
    check_expiry(claims.expires_at, now)?;
    Ok(claims)
}

/// The result of each check of [`check`], for display. Each is made independently of the others.
#[derive(Debug)]
pub struct Examination {
    /// Its `typ`, its key, and the signature.
    pub signature: Result<(), TokenFault>,
    /// Its `iss`.
    pub issuer: Result<(), TokenFault>,
    /// Its `aud`.
    pub audience: Result<(), TokenFault>,
    /// `exp`, `iat` and `nbf`.
    pub time: Result<(), TokenFault>,
    /// Whether it was revoked.
    pub revocation: Result<(), TokenFault>,
}

/// Makes the checks of [`check`] one by one. [`check`] accepts a token if and only if all of them succeed.
pub fn examine(
    text: &str,
    keys: &dyn KeySource,
    expected: Expected<'_>,
    now: UnixTime,
) -> Result<Examination, TokenFault> {
    keys.check_current()?;
    let jwt = UnverifiedJwt::parse(text)?;
    // Unverified: these describe a token that may be forged. The verdict on its signature is separate.
    let members = jwt.claims();
    let key_id = jwt.key_id().unwrap_or_else(|| KeyId::new(""));
    let time = || {
        check_expiry(read_needed_date(members, "exp")?, now)?;
        check_begun(read_needed_date(members, "iat")?, read_date(members, "nbf")?, now)
    };
    Ok(Examination {
        issuer: read_needed_text(members, "iss").and_then(|issuer| check_issuer(&issuer, expected)),
        audience: read_audiences(members).and_then(|audiences| check_audience(&audiences, expected)),
        time: time(),
        revocation: read_standing(members, key_id).and_then(|claims| Ok(keys.check_alive(&claims)?)),
        signature: verify_signature(jwt, keys).map(|_| ()),
    })
}

/// Returns the claims, after verifying that one of our keys has signed them as an access token.
fn verify(jwt: UnverifiedJwt<'_>, keys: &dyn KeySource) -> Result<Claims, TokenFault> {
    let (members, key_id) = verify_signature(jwt, keys)?;
    read_claims(&members, key_id)
}

fn verify_signature(jwt: UnverifiedJwt<'_>, keys: &dyn KeySource) -> Result<(Map<String, Value>, KeyId), TokenFault> {
    if jwt.media_type().as_deref() != Some(MEDIA_TYPE) {
        return Err(TokenFault::MediaType);
    }
    let key_id = jwt.key_id().ok_or(TokenFault::UnknownKey)?;
    let key = keys.find_key(&key_id).ok_or(TokenFault::UnknownKey)?;
    Ok((jwt.verify(&key)?, key_id))
}

fn check_issuer(issuer: &str, expected: Expected<'_>) -> Result<(), TokenFault> {
    if issuer == expected.issuer { Ok(()) } else { Err(TokenFault::Issuer) }
}

fn check_audience(audiences: &[String], expected: Expected<'_>) -> Result<(), TokenFault> {
    let is_other = |wanted| !audiences.iter().any(|audience| audience == wanted);
    if expected.audience.is_some_and(is_other) { Err(TokenFault::Audience) } else { Ok(()) }
}

fn check_expiry(expires_at: UnixTime, now: UnixTime) -> Result<(), TokenFault> {
    if now >= expires_at { Err(TokenFault::Expired) } else { Ok(()) }
}

fn check_begun(issued_at: UnixTime, not_before: Option<UnixTime>, now: UnixTime) -> Result<(), TokenFault> {
    let ahead = |date: UnixTime| date.saturating_sub(now) > MAX_CLOCK_LEAD_S;
    let is_ahead = ahead(issued_at) || not_before.is_some_and(ahead);
    if is_ahead { Err(TokenFault::NotYetValid) } else { Ok(()) }
}

/// Parses every claim with its type. A wrong type is an error, and never skipped (CVE-2026-25537).
fn read_claims(members: &Map<String, Value>, key_id: KeyId) -> Result<Claims, TokenFault> {
    Ok(Claims {
        issuer: read_needed_text(members, "iss")?,
        issued_at: read_needed_date(members, "iat")?,
        expires_at: read_needed_date(members, "exp")?,
        not_before: read_date(members, "nbf")?,
        ..read_standing(members, key_id)?
    })
}

/// Parses what determines whether a token was revoked, and everything else that no other check of [`examine`] needs.
/// The issuer and the dates stay empty.
fn read_standing(members: &Map<String, Value>, key_id: KeyId) -> Result<Claims, TokenFault> {
    let scope = match read_text(members, "scope")? {
        Some(text) => Scope::parse(&text).map_err(|_| TokenFault::Claim("scope"))?,
        None => Scope::default(),
    };
    let revision = match read_text(members, "rev")? {
        Some(text) => Some(Revision::parse(&text).ok_or(TokenFault::Claim("rev"))?),
        None => None,
    };
    Ok(Claims {
        issuer: String::new(),
        subject: read_needed_text(members, "sub")?,
        audiences: read_audiences(members)?,
        client_id: read_needed_text(members, "client_id")?,
        issued_at: 0,
        expires_at: 0,
        not_before: None,
        token_id: read_needed_text(members, "jti")?,
        scope,
        auth_time: read_date(members, "auth_time")?,
        unique_name: read_text(members, "unique_name")?,
        revision,
        key_id: Some(key_id),
    })
}

fn read_needed_text(members: &Map<String, Value>, name: &'static str) -> Result<String, TokenFault> {
    read_text(members, name)?.ok_or(TokenFault::Claim(name))
}

fn read_needed_date(members: &Map<String, Value>, name: &'static str) -> Result<UnixTime, TokenFault> {
    read_date(members, name)?.ok_or(TokenFault::Claim(name))
}

fn read_text(members: &Map<String, Value>, name: &'static str) -> Result<Option<String>, TokenFault> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(TokenFault::Claim(name)),
    }
}

/// Parses a date, a number whose whole seconds are used (RFC 7519 §2 allows fractions).
fn read_date(members: &Map<String, Value>, name: &'static str) -> Result<Option<UnixTime>, TokenFault> {
    let Some(value) = members.get(name) else {
        return Ok(None);
    };
    let whole = value.as_i64().or_else(|| value.as_f64().and_then(whole_seconds));
    whole.map(Some).ok_or(TokenFault::Claim(name))
}

fn whole_seconds(date: f64) -> Option<UnixTime> {
    format!("{:.0}", date.floor()).parse().ok()
}

fn read_audiences(members: &Map<String, Value>) -> Result<Vec<String>, TokenFault> {
    let fault = || TokenFault::Claim("aud");
    match members.get("aud") {
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(several)) => {
            several.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(fault)).collect()
        }
        _ => Err(fault()),
    }
}
