//! Maps unsuccessful responses to a one-line reason and an exit code: RFC 9457 problems, and the errors of the
//! guard and the token endpoint.

use countersign_client::{ClientError, TransportError};
use http::header::WWW_AUTHENTICATE;
use http::{Response, StatusCode};
use serde_json::Value;

use crate::output::Failure;

/// Returns the body of a successful response. `flag` maps a field to its flag. `client_id` is the client that
/// authenticated.
pub(super) fn read(
    answer: Response<Vec<u8>>,
    flag: impl Fn(&str) -> String,
    client_id: &str,
) -> Result<Value, Failure> {
    let status = answer.status();
    if status.is_success() {
        if answer.body().is_empty() {
            return Ok(Value::Null);
        }
        return serde_json::from_slice(answer.body()).map_err(|_| Failure::new("malformed response: not JSON"));
    }
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let text = |member: &str| body[member].as_str().map(str::to_owned);
    let detail =
        text("detail").or_else(|| text("error_description")).unwrap_or_else(|| format!("the server returned {status}"));
    let detail = match text("field") {
        Some(field) => format!("{}: {detail}", flag(&field)),
        None => detail,
    };
    Err(match status {
        StatusCode::UNAUTHORIZED => {
            Failure::SignInNeeded(format!("the server refused the token of {client_id}: {detail}"))
        }
        StatusCode::FORBIDDEN => Failure::Denied(match find_missing_scope(&answer) {
            Some(scope) => format!("{client_id} lacks the scope {scope} of admin-api"),
            None => format!("{client_id} lacks the required rights: {detail}"),
        }),
        StatusCode::NOT_FOUND => Failure::NotFound(detail),
        StatusCode::PRECONDITION_FAILED => Failure::ChangedMeanwhile(detail),
        status if is_unreachable(status.as_u16()) => Failure::Unreachable(detail),
        _ => Failure::Failed(detail),
    })
}

/// Explains why no token was issued.
pub(super) fn of_token(error: &ClientError, issuer: &str, client_id: &str) -> Failure {
    let said = error.description().or(error.oauth_error()).unwrap_or_default().to_owned();
    match (error, error.oauth_error()) {
        (ClientError::Transport(error), _) => of_transport(error, issuer),
        _ if error.status().is_some_and(is_unreachable) => Failure::Unreachable(format!("{issuer}: {error}")),
        (_, Some("invalid_client")) => {
            Failure::SignInNeeded(format!("{issuer} refused the credentials of {client_id}"))
        }
        (_, Some("unauthorized_client" | "invalid_scope")) => {
            Failure::Denied(format!("{client_id} has no access to admin-api at {issuer}: {said}"))
        }
        (_, Some("invalid_target")) => Failure::new(format!(
            "the server has no API {issuer}/admin; check that the issuer is spelled as in the server's configuration"
        )),
        _ => Failure::new(format!("{issuer}: failed to get a token: {error}")),
    }
}

/// Explains why there was no response.
pub(super) fn of_transport(error: &TransportError, issuer: &str) -> Failure {
    let line = format!("{issuer}: {error}");
    match error {
        TransportError::Connect(_) | TransportError::Timeout(_) | TransportError::Broken(_) => {
            Failure::Unreachable(line)
        }
        TransportError::Address(_) | TransportError::Redirect { .. } | TransportError::TooLarge(_) => {
            Failure::Failed(line)
        }
    }
}

/// True if a gateway found no server, or the server is temporarily unavailable.
fn is_unreachable(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// Returns the scope in a challenge (RFC 6750 §3). There may be several challenges, and a proxy's may not be ASCII.
fn find_missing_scope(answer: &Response<Vec<u8>>) -> Option<String> {
    answer.headers().get_all(WWW_AUTHENTICATE).iter().find_map(|challenge| {
        let challenge = String::from_utf8_lossy(challenge.as_bytes());
        let (_, rest) = challenge.split_once(" scope=\"")?;
        rest.split_once('"').map(|(scope, _)| scope.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, challenge: &str, body: &str) -> Failure {
        let answer = Response::builder().status(status).header(WWW_AUTHENTICATE, challenge);
        let answer = answer.body(body.as_bytes().to_vec()).expect("a response");
        read(answer, |field| format!("--{field}"), "job").expect_err("not good")
    }

    #[test]
    fn each_status_has_its_exit_code_and_message() {
        let problem = r#"{"title":"x","detail":"must be one line","field":"label"}"#;
        for (status, challenge, body, expected) in [
            (400, "", problem, "Failed(\"--label: must be one line\")"),
            (
                401,
                "",
                "",
                "SignInNeeded(\"the server refused the token of job: the server returned 401 Unauthorized\")",
            ),
            (
                403,
                "Bearer realm=\"x\", error=\"insufficient_scope\", scope=\"apis:read\"",
                "",
                "Denied(\"job lacks the scope apis:read of admin-api\")",
            ),
            (
                403,
                "Basic realm=\"caf\u{e9}\", Bearer realm=\"x\", scope=\"apis:read\"",
                "",
                "Denied(\"job lacks the scope apis:read of admin-api\")",
            ),
            (
                403,
                "",
                r#"{"detail":"no secrets:write"}"#,
                "Denied(\"job lacks the required rights: no secrets:write\")",
            ),
            (404, "", r#"{"detail":"there is no API x"}"#, "NotFound(\"there is no API x\")"),
            (409, "", r#"{"detail":"x is taken"}"#, "Failed(\"x is taken\")"),
            (412, "", "<html>", "ChangedMeanwhile(\"the server returned 412 Precondition Failed\")"),
            (500, "", "", "Failed(\"the server returned 500 Internal Server Error\")"),
            (502, "", "", "Unreachable(\"the server returned 502 Bad Gateway\")"),
            (503, "", r#"{"error_description":"stale"}"#, "Unreachable(\"stale\")"),
        ] {
            assert_eq!(format!("{:?}", failure(status, challenge, body)), expected);
        }
        let good = |body: &str| read(Response::new(body.as_bytes().to_vec()), |_| String::new(), "job");
        assert_eq!(good("").expect("good"), Value::Null);
        assert_eq!(good("[1]").expect("good"), serde_json::json!([1]));
        assert!(good("<html>").is_err());
    }
}
