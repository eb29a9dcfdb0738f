//! A request to the admin API, as a value.

use http::header::{ACCEPT, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderValue, Method, Request};
use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroizing;

use crate::output::Failure;

/// Which flag sets a field, so that an error can name the flag.
const FLAGS: [(&str, &str); 31] = [
    ("access_token_lifetime_s", "--lifetime"),
    ("after", "--after"),
    ("algorithm", "--algorithm"),
    ("api", "--api"),
    ("audience", "--audience"),
    ("auth_methods", "--auth-method"),
    ("default", "--default"),
    ("description", "--description"),
    ("expires_at", "--expires"),
    ("from", "--from"),
    ("grant", "--grant"),
    ("grants", "--grant"),
    ("head", "--head"),
    ("import", "--import-file"),
    ("introspect", "--introspect"),
    ("label", "--label"),
    ("limit", "--limit"),
    ("name", "--name"),
    ("not_before", "--not-before"),
    ("overlap_s", "--overlap"),
    ("owner", "--owner"),
    ("password", "--password-file"),
    ("refresh_absolute_s", "--refresh-absolute"),
    ("refresh_retry_s", "--refresh-retry"),
    ("refresh_idle_s", "--refresh-idle"),
    ("roles", "--role"),
    ("rules", "--rule"),
    ("scopes", "--scope"),
    ("to", "--to"),
    ("tokens_per_day", "--tokens-per-day"),
    ("tokens_per_minute", "--tokens-per-minute"),
];

/// A request that has not been sent yet.
#[derive(Clone)]
pub(crate) struct Call {
    method: Method,
    segments: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    if_match: Option<HeaderValue>,
    if_none_match: bool,
    named: Vec<(&'static str, &'static str)>,
}

impl Call {
    /// Creates a request to a path under `/admin/v1`.
    pub(crate) fn new(method: Method, segments: &[&str]) -> Self {
        let segments = segments.iter().map(|segment| (*segment).to_owned()).collect();
        Self {
            method,
            segments,
            query: Vec::new(),
            body: None,
            if_match: None,
            if_none_match: false,
            named: Vec::new(),
        }
    }

    pub(crate) fn get(segments: &[&str]) -> Self {
        Self::new(Method::GET, segments)
    }

    pub(crate) fn post(segments: &[&str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST, segments) }
    }

    pub(crate) fn patch(segments: &[&str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::PATCH, segments) }
    }

    pub(crate) fn put(segments: &[&str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::PUT, segments) }
    }

    pub(crate) fn delete(segments: &[&str]) -> Self {
        Self::new(Method::DELETE, segments)
    }

    /// Sets a query parameter.
    pub(crate) fn with_query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.retain(|(known, _)| *known != name);
        self.query.push((name, value.to_string()));
        self
    }

    /// Sends the request only if the resource still has this ETag or, without one, if it does not exist yet (RFC
    /// 9110 §13.1.2).
    pub(crate) fn if_still(mut self, etag: Option<HeaderValue>) -> Self {
        self.if_none_match = etag.is_none();
        self.if_match = etag;
        self
    }

    /// Names this flag in errors about the field.
    pub(crate) fn naming(mut self, field: &'static str, typed: &'static str) -> Self {
        self.named.push((field, typed));
        self
    }

    /// Returns the flag for a field.
    pub(super) fn flag(&self, field: &str) -> String {
        let mut known = self.named.iter().chain(&FLAGS);
        known.find(|(known, _)| *known == field).map_or(field, |(_, typed)| typed).to_owned()
    }

    /// Builds the HTTP request for the server with this issuer.
    pub(super) fn to_http(&self, issuer: &str) -> Result<Request<Zeroizing<Vec<u8>>>, Failure> {
        let mut url = Url::parse(issuer).map_err(|error| Failure::new(format!("{issuer}: {error}")))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["admin", "v1"]).extend(&self.segments);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        let mut request = Request::builder().method(&self.method).uri(url.as_str()).header(ACCEPT, "application/json");
        if let Some(etag) = &self.if_match {
            request = request.header(IF_MATCH, etag);
        }
        if self.if_none_match {
            request = request.header(IF_NONE_MATCH, "*");
        }
        let mut bytes = Zeroizing::new(Vec::new());
        if let Some(body) = &self.body {
            request = request.header(CONTENT_TYPE, "application/json");
            serde_json::to_writer(&mut *bytes, body).map_err(Failure::new)?;
        }
        request.body(bytes).map_err(Failure::new)
    }
}

/// Builds an object from the members that have a value.
pub(crate) fn members<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let there = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}

/// Builds an object of changes. Fails if there is none.
pub(crate) fn changes<const N: usize>(changes: [(&str, Option<Value>); N]) -> Result<Value, Failure> {
    let changes = members(changes);
    check_any(&changes, false)?;
    Ok(changes)
}

/// Fails if there is no change, neither a field nor anything else.
pub(crate) fn check_any(fields: &Value, has_more: bool) -> Result<(), Failure> {
    if !has_more && fields.as_object().is_some_and(Map::is_empty) {
        return Err(Failure::usage("no change specified; see --help"));
    }
    Ok(())
}

/// Parses an ID. Refuses IDs that parsers of paths could interpret differently (RFC 3986 §3.3).
pub(crate) fn parse_id(text: &str) -> Result<String, String> {
    if matches!(text, "" | "." | "..") || text.contains(['/', '\\', '%', ';']) || text.contains(char::is_control) {
        return Err("not a valid ID".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_serialized_exactly() {
        let call = Call::patch(&["apis", "billing", "scopes", "invoices:read"], json!({ "default": true }))
            .with_query("x", "a b&c")
            .if_still(Some(HeaderValue::from_static("\"tag\"")));
        let request = call.to_http("https://auth.example").expect("a request");
        let at = "https://auth.example/admin/v1/apis/billing/scopes/invoices:read?x=a+b%26c";
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("PATCH", at));
        assert_eq!(request.headers()[IF_MATCH], "\"tag\"");
        assert!(request.headers().get(IF_NONE_MATCH).is_none());
        let first = Call::get(&["x"]).if_still(None).to_http("https://auth.example").expect("a request");
        assert_eq!(first.headers()[IF_NONE_MATCH], "*");
        assert_eq!(request.body().as_slice(), br#"{"default":true}"#);
        let request = Call::get(&["users", "Ada Lovelace?#"]).to_http("https://[::1]:8443").expect("a request");
        assert_eq!(request.uri().to_string(), "https://[::1]:8443/admin/v1/users/Ada%20Lovelace%3F%23");
        assert!(request.headers().get(CONTENT_TYPE).is_none());
    }

    #[test]
    fn a_fields_error_names_its_flag() {
        let call = Call::get(&[]).naming("import", "--import-secret-file");
        let flags = ["import", "access_token_lifetime_s", "client_id"].map(|field| call.flag(field));
        assert_eq!(flags, ["--import-secret-file", "--lifetime", "client_id"]);
    }

    #[test]
    fn an_id_cannot_lead_to_another_path() {
        for bad in ["", ".", "..", "a/b", "a\\b", "%2e", "a;b", "a\nb"] {
            assert!(parse_id(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_id("invoices:read").as_deref(), Ok("invoices:read"));
    }
}
