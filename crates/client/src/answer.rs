//! Parses responses of the server. Pure functions of bytes.

use countersign_protocol::jose::json::parse_object;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::error::ClientError;

/// The maximum length of a server's message that is kept, in characters. A longer text explains nothing.
const MAX_WORDS: usize = 500;

/// Parses an introspection response (RFC 7662 §2.2).
pub(crate) fn read_introspection(answer: Response<Vec<u8>>) -> Result<Map<String, Value>, ClientError> {
    let members = read_object(answer)?;
    match members.get("active") {
        Some(Value::Bool(_)) => Ok(members),
        Some(_) => Err(malformed("`active` must be true or false")),
        None => Err(malformed("`active` is missing")),
    }
}

/// Parses a revocation response, which only consists of its status (RFC 7009 §2.2).
pub(crate) fn read_revocation(answer: Response<Vec<u8>>) -> Result<(), ClientError> {
    check_status(&answer)
}

/// Parses the members of a 200 response. Refuses duplicate members, because another parser might use the other value.
pub(crate) fn read_object(answer: Response<Vec<u8>>) -> Result<Map<String, Value>, ClientError> {
    check_status(&answer)?;
    let body = Zeroizing::new(answer.into_body());
    parse_object(&body).ok_or_else(|| malformed("the body must be a JSON object without duplicate members"))
}

/// Succeeds for 200. Otherwise returns the server's error (RFC 6749 §5.2), or at least its status.
fn check_status(answer: &Response<Vec<u8>>) -> Result<(), ClientError> {
    if answer.status() == StatusCode::OK {
        return Ok(());
    }
    let (status, retry_after_s) = (answer.status().as_u16(), find_retry_after(answer));
    let is_error = answer.status().is_client_error() || answer.status().is_server_error();
    let body = parse_object(answer.body()).filter(|_| is_error).unwrap_or_default();
    let words = |name| body.get(name).and_then(Value::as_str).map(clean).filter(|words| !words.is_empty());
    Err(match words("error") {
        Some(error) => ClientError::Refused { status, error, description: words("error_description"), retry_after_s },
        None => ClientError::UnexpectedStatus { status, retry_after_s },
    })
}

fn find_retry_after(answer: &Response<Vec<u8>>) -> Option<u64> {
    answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// Makes a server's message safe for a log: one line of limited length.
pub(crate) fn clean(words: &str) -> String {
    words.chars().take(MAX_WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(crate) fn malformed(what: impl Into<String>) -> ClientError {
    ClientError::Malformed { what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: &str, body: &str) -> Response<Vec<u8>> {
        let response = Response::builder().status(status).header(RETRY_AFTER, retry_after);
        response.body(body.as_bytes().to_vec()).expect("a response")
    }

    #[test]
    fn a_refusal_is_parsed_whatever_else_the_body_contains() {
        let body = r#"{"error":"invalid_scope","error_description":"no\nsuch scope","error_uri":7}"#;
        let error = read_revocation(answer(400, "x", body)).expect_err("refused");
        assert_eq!(
            (error.status(), error.oauth_error(), error.description(), error.retry_after_s()),
            (Some(400), Some("invalid_scope"), Some("no such scope"), None)
        );
        assert_eq!(error.to_string(), "the server returned 400 invalid_scope: no such scope");
        let error = read_revocation(answer(429, " 30", r#"{"error":"slow_down"}"#)).expect_err("refused");
        assert_eq!(
            (error.to_string().as_str(), error.retry_after_s()),
            ("the server returned 429 slow_down", Some(30))
        );
        let long = format!(r#"{{"error":"e","error_description":"{}"}}"#, "é".repeat(9000));
        let error = read_revocation(answer(503, "-1", &long)).expect_err("refused");
        assert_eq!(error.description().map(|words| words.chars().count()), Some(MAX_WORDS));
    }

    #[test]
    fn an_error_without_an_oauth_body_shows_its_status() {
        for (status, body) in [
            (401, ""),
            (404, "<html>"),
            (500, r#"{"error":7}"#),
            (400, r#"{"error":""}"#),
            (502, "[]"),
            (400, r#"{"error":"a","error":"b"}"#),
            (201, r#"{"error":"invalid_scope"}"#),
            (302, r#"{"error":"invalid_scope"}"#),
            (204, ""),
        ] {
            let error = read_object(answer(status, "5", body)).expect_err(body);
            let is_unexpected = matches!(error, ClientError::UnexpectedStatus { .. });
            assert!(is_unexpected && error.status() == Some(status) && error.retry_after_s() == Some(5), "{error:?}");
            assert_eq!((error.oauth_error(), error.description()), (None, None));
        }
    }

    #[test]
    fn an_introspection_says_whether_the_token_is_active() {
        let members = read_introspection(answer(200, "", r#"{"active":true,"scope":"all","x":1}"#)).expect("read");
        assert_eq!(Value::Object(members).to_string(), r#"{"active":true,"scope":"all","x":1}"#);
        for (body, what) in [("{}", "`active` is missing"), (r#"{"active":"true"}"#, "`active` must be true or false")]
        {
            let error = read_introspection(answer(200, "", body)).expect_err(body);
            assert_eq!(error.to_string(), format!("malformed response: {what}"));
        }
    }
}
