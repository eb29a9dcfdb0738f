//! The success response of the token endpoint (RFC 6749 §5.1).

use countersign_protocol::secret::Secret;
use http::Response;
use serde_json::{Map, Value};

use crate::answer::{clean, malformed, read_object};
use crate::error::ClientError;

/// The maximum length of a token type in errors. The registered types have at most six characters.
const MAX_TYPE: usize = 16;

/// A token set. `Debug` shows no token.
#[derive(Clone, Debug)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: Secret,
    /// `Bearer`, in the server's spelling.
    pub token_type: String,
    /// The lifetime of the access token in seconds, if the server returns it.
    pub expires_in: Option<i64>,
    /// The granted scope. If the server omits it, it is the requested one.
    pub scope: Option<String>,
    /// The refresh token, if there is one.
    pub refresh_token: Option<Secret>,
}

impl TokenResponse {
    /// Parses a response. Ignores unknown members (RFC 6749 §5.1), and treats null as missing.
    pub(crate) fn read(answer: Response<Vec<u8>>) -> Result<Self, ClientError> {
        let mut members = read_object(answer)?;
        let access_token = take_token(&mut members, "access_token")?.ok_or_else(|| missing("access_token"))?;
        let token_type = take_text(&mut members, "token_type")?.ok_or_else(|| missing("token_type"))?;
        if !token_type.eq_ignore_ascii_case("bearer") {
            return Err(malformed(format!("`token_type` is {}, not Bearer", describe_type(&token_type))));
        }
        Ok(Self {
            access_token,
            token_type,
            expires_in: take_seconds(&mut members)?,
            scope: take_text(&mut members, "scope")?,
            refresh_token: take_token(&mut members, "refresh_token")?,
        })
    }
}

/// Returns a short type for an error. A longer one may be a token in the wrong place, and is not shown.
fn describe_type(token_type: &str) -> String {
    if token_type.len() <= MAX_TYPE { format!("`{}`", clean(token_type)) } else { "a longer value".to_owned() }
}

/// Parses a token. It must be visible ASCII. Otherwise, it could split the header that it is sent in (RFC 6749 appendix
/// A.12).
fn take_token(members: &mut Map<String, Value>, name: &str) -> Result<Option<Secret>, ClientError> {
    let Some(token) = take_text(members, name)?.map(Secret::new) else {
        return Ok(None);
    };
    let is_token = !token.expose().is_empty() && token.expose().bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_token { Ok(Some(token)) } else { Err(malformed(format!("`{name}` must be visible ASCII and not empty"))) }
}

fn take_text(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, ClientError> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(malformed(format!("`{name}` must be a string"))),
    }
}

fn take_seconds(members: &mut Map<String, Value>) -> Result<Option<i64>, ClientError> {
    match members.remove("expires_in") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let seconds = value.as_i64().filter(|seconds| *seconds >= 0);
            seconds.map(Some).ok_or_else(|| malformed("`expires_in` must be a whole number of seconds"))
        }
    }
}

fn missing(name: &str) -> ClientError {
    malformed(format!("`{name}` is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<TokenResponse, ClientError> {
        TokenResponse::read(Response::new(body.as_bytes().to_vec()))
    }

    #[test]
    fn a_token_set_is_parsed_and_unknown_members_are_ignored() {
        let token = read(
            r#"{"access_token":"a.b.c","token_type":"bearer","expires_in":7200,"scope":"all","refresh_token":"r","x":[1]}"#,
        )
        .expect("a token set");
        assert_eq!(token.access_token.expose(), "a.b.c");
        assert_eq!((token.token_type.as_str(), token.expires_in), ("bearer", Some(7200)));
        assert_eq!(token.scope.as_deref(), Some("all"));
        assert_eq!(token.refresh_token.as_ref().map(Secret::expose), Some("r"));
        let shown = format!("{token:?}");
        assert!(!shown.contains("a.b.c") && !shown.contains("\"r\""), "{shown}");
        let least = read(r#"{"access_token":"a","token_type":"Bearer","scope":null}"#).expect("a token set");
        assert_eq!((least.expires_in, least.scope, least.refresh_token.is_none()), (None, None, true));
    }

    #[test]
    fn a_missing_or_mistyped_member_is_named() {
        for (body, what) in [
            (r#"{"token_type":"Bearer"}"#, "`access_token` is missing"),
            (r#"{"access_token":null,"token_type":"Bearer"}"#, "`access_token` is missing"),
            (r#"{"access_token":"a"}"#, "`token_type` is missing"),
            (r#"{"access_token":1,"token_type":"Bearer"}"#, "`access_token` must be a string"),
            (r#"{"access_token":"","token_type":"Bearer"}"#, "`access_token` must be visible ASCII and not empty"),
            (r#"{"access_token":"a\nb","token_type":"Bearer"}"#, "`access_token` must be visible ASCII and not empty"),
            (r#"{"access_token":"a","token_type":"DPoP\n"}"#, "`token_type` is `DPoP `, not Bearer"),
            (r#"{"access_token":"Bearer","token_type":"eyJhbGciOiJSUzI1NiJ9"}"#, "`token_type` is a longer value"),
            (r#"{"access_token":"a","token_type":"Bearer","expires_in":"60"}"#, "`expires_in` must be a whole number"),
            (r#"{"access_token":"a","token_type":"Bearer","expires_in":-1}"#, "`expires_in` must be a whole number"),
            (r#"{"access_token":"a","token_type":"Bearer","expires_in":1.5}"#, "`expires_in` must be a whole number"),
            (r#"{"access_token":"a","token_type":"Bearer","scope":["all"]}"#, "`scope` must be a string"),
            (r#"{"access_token":"a","token_type":"Bearer","refresh_token":{}}"#, "`refresh_token` must be a string"),
        ] {
            let error = read(body).expect_err(body).to_string();
            assert!(error.starts_with(&format!("malformed response: {what}")), "{error}");
        }
    }

    #[test]
    fn a_body_that_is_not_a_json_object_is_refused_and_not_repeated() {
        let twice = r#"{"access_token":"hunter2","access_token":"b","token_type":"Bearer"}"#;
        for body in ["", "hunter2", "[\"hunter2\"]", "{\"access_token\":\"hunter2", "{} hunter2", "\u{FEFF}{}", twice] {
            let error = read(body).expect_err(body);
            assert!(matches!(error, ClientError::Malformed { .. }), "{body}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
