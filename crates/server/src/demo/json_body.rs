//! The JSON body of a call, read strictly: whatever is wrong is named by its field.

use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::body;
use crate::demo::envelope::Fault;

/// How the fault of a field that nobody knows begins.
const UNKNOWN: &str = "unknown field";

/// The body as a `T`, whose unknown fields must be refused by its own `Deserialize`.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        if !is_json(request.headers()) {
            let message = "Content-Type: send the body as application/json";
            return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_request", message));
        }
        parse(&body::read(request.into_body()).await?).map(Self)
    }
}

/// True for `application/json` with any parameters: JSON is UTF-8 (RFC 8259 §8.1).
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let only = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    let essence = only.and_then(|text| text.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    // Otherwise serde would take an array of the fields' values too.
    if body.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(Fault::bad_request("the body: must be a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let (field, what) = describe(&path, &error.into_inner().to_string());
        // What is wrong may repeat what was sent, as may an unknown name, and a secret may have been sent.
        let logged = if what.starts_with(UNKNOWN) { UNKNOWN } else { field.as_str() };
        Fault::bad_request(format!("{field}: {what}")).with_reason(format!("the body: {logged}"))
    })?;
    let ended = deserializer.end();
    ended.map_err(|_| Fault::bad_request("the body has something after its JSON object"))?;
    Ok(value)
}

/// The field and what is wrong with it, from serde's own words.
fn describe(path: &str, text: &str) -> (String, String) {
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    let named = |prefix: &str| text.strip_prefix(prefix)?.split_once('`');
    let (field, what) = if let Some((field, _)) = named("missing field `") {
        (field, "missing".to_owned())
    } else if let Some((field, _)) = named("duplicate field `") {
        (field, "there twice".to_owned())
    } else if let Some((field, rest)) = named("unknown field `") {
        (field, format!("{UNKNOWN}{rest}"))
    } else if matches!(path, "." | "?") {
        ("the body", text.to_owned())
    } else {
        (path, text.to_owned())
    };
    (field.to_owned(), what)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Asked {
        #[serde(alias = "grant_type")]
        grant_type: Grant,
        #[serde(default, alias = "user_name")]
        user_name: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    enum Grant {
        #[serde(rename = "password")]
        Password,
    }

    #[test]
    fn whatever_is_wrong_is_named_by_its_field() {
        let message = |body: &str| format!("{:?}", parse::<Asked>(body.as_bytes()).expect_err("refused"));
        for (body, expected) in [
            (r#"{}"#, "grantType: missing"),
            (r#"{"grantType":"x"}"#, "grantType: unknown variant `x`, expected `password`"),
            (r#"{"grantType":"password","grant_type":"password"}"#, "grantType: there twice"),
            (r#"{"grantType":"password","grantType":"password"}"#, "grantType: there twice"),
            (r#"{"grantType":"password","user_name":7}"#, "user_name: invalid type: integer `7`"),
            (r#"{"grantType":"password","x":1}"#, "x: unknown field, expected"),
            (r#"{"grantType":"password"} x"#, "something after its JSON object"),
            (r#"["password"]"#, "the body: "),
            ("", "the body: EOF"),
        ] {
            let message = message(body);
            assert!(message.contains(expected), "{body}: {message}");
        }
        let asked: Asked = parse(br#"{"grant_type":"password","userName":"ada"}"#).expect("parses");
        assert!(matches!(asked.grant_type, Grant::Password) && asked.user_name.as_deref() == Some("ada"));
        assert!(parse::<Asked>(br#"["password", null]"#).is_err(), "a struct is an object, not a sequence");
    }
}
