//! Strict parsing of JSON bodies. Errors name the field.

use axum::extract::Request;
use countersign_protocol::refusal::Refusal;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::document::{Document, Fault, Wrong};
use crate::http::body;

/// The name of the whole body in errors.
pub(crate) const BODY: &str = "the body";

/// Why a body is refused.
#[derive(Debug)]
pub enum BadBody {
    /// Its type is not `application/json`.
    NotJson,
    /// It was incomplete, late or too large.
    Unread(Refusal),
    /// A field is invalid. The texts are only for the caller, because they may repeat a secret that was sent.
    Field {
        /// The field, or `the body`.
        field: String,
        /// What is wrong with it.
        what: String,
    },
    /// There is no such field. Its name must not be logged, because a caller may have chosen it.
    UnknownField {
        /// The field.
        field: String,
        /// The known fields.
        what: String,
    },
}

impl BadBody {
    fn field(field: &str, what: impl Into<String>) -> Self {
        Self::Field { field: field.to_owned(), what: what.into() }
    }

    /// Returns what may be logged.
    pub fn reason(&self) -> String {
        match self {
            Self::NotJson => "the body must be JSON".to_owned(),
            Self::Unread(refusal) => refusal.to_string(),
            Self::Field { field, .. } => format!("the body: {field}"),
            Self::UnknownField { .. } => "the body: unknown field".to_owned(),
        }
    }
}

/// Parses the body as a `T`, whose `Deserialize` must refuse unknown fields.
pub async fn receive<T: DeserializeOwned>(request: Request) -> Result<T, BadBody> {
    receive_document(request).await?.read().map_err(BadBody::from)
}

/// The same, but `null` is only accepted for a [`Nullable`](crate::document::Nullable) field.
pub(crate) async fn receive_strictly<T: DeserializeOwned>(request: Request) -> Result<T, BadBody> {
    receive_document(request).await?.read_strictly().map_err(BadBody::from)
}

async fn receive_document(request: Request) -> Result<Document, BadBody> {
    if !is_json(request.headers()) {
        return Err(BadBody::NotJson);
    }
    let (head, body) = request.into_parts();
    parse(&body::read(body, &head.extensions).await.map_err(BadBody::Unread)?)
}

/// True for `application/json` with any parameters, because JSON is always UTF-8 (RFC 8259 §8.1).
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let only = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    let essence = only.and_then(|text| text.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn parse(body: &[u8]) -> Result<Document, BadBody> {
    if body.is_empty() {
        return Err(BadBody::field(BODY, "is empty; send a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let document = Document::deserialize(&mut deserializer).map_err(|error| {
        BadBody::field(BODY, format!("is not valid JSON at line {}, column {}", error.line(), error.column()))
    })?;
    deserializer.end().map_err(|_| BadBody::field(BODY, "has data after the JSON object"))?;
    Ok(document)
}

impl From<Fault> for BadBody {
    fn from(Fault { path, wrong }: Fault) -> Self {
        let (field, what) = (if path.is_empty() { BODY.to_owned() } else { path }, wrong.to_string());
        match wrong {
            Wrong::Unknown(_) => Self::UnknownField { field, what },
            _ => Self::Field { field, what },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Nullable;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Asked {
        #[serde(alias = "grant_type")]
        grant_type: Grant,
        #[serde(default, alias = "user_name")]
        user_name: Option<String>,
        #[serde(default)]
        #[expect(dead_code, reason = "only read")]
        retries: i64,
    }

    #[derive(Debug, Deserialize)]
    enum Grant {
        #[serde(rename = "password")]
        Password,
    }

    #[test]
    fn every_error_names_its_field() {
        let read = |body: &str| parse(body.as_bytes()).and_then(|document| Ok(document.read::<Asked>()?));
        let message = |body: &str| match read(body) {
            Err(BadBody::Field { field, what } | BadBody::UnknownField { field, what }) => format!("{field}: {what}"),
            other => panic!("{body}: {other:?}"),
        };
        for (body, expected) in [
            (r#"{}"#, "grantType: missing"),
            (r#"{"grantType":"x"}"#, "grantType: must be `password`"),
            (r#"{"grantType":"password","user_name":[7]}"#, "user_name: must be a string"),
            (r#"{"grantType":"password","grant_type":"password"}"#, "grantType: duplicate field"),
            (r#"{"grantType":"password","grantType":"password"}"#, "grantType: duplicate field"),
            (r#"{"grantType":"password","user_name":7}"#, "user_name: must be a string"),
            (r#"{"grantType":"password","retries":9223372036854775808}"#, "retries: is out of range"),
            (r#"{"grantType":null}"#, "grantType: must be a string"),
            (r#"{"grantType":"password","retries":"7"}"#, "retries: must be a whole number"),
            (r#"{"grantType":"password","retries":1.5}"#, "retries: must be a whole number"),
            (r#"{"grantType":"password","retries":1e300}"#, "retries: is out of range"),
            (r#"{"grantType":"password","x":1}"#, "x: unknown field, expected"),
            (r#"{"grantType":"password"} x"#, "the body: has data after the JSON object"),
            (r#"["password"]"#, "the body: "),
            ("", "the body: is empty; send a JSON object"),
            (r#"{"grantType":"password","user_name":"\ud800"}"#, "the body: is not valid JSON at line 1, column 44"),
        ] {
            let message = message(body);
            assert!(message.contains(expected), "{body}: {message}");
        }
        let asked = read(r#"{"grant_type":"password","userName":"ada","retries":7.0}"#).expect("parses");
        assert!(matches!(asked.grant_type, Grant::Password) && asked.user_name.as_deref() == Some("ada"));
        assert!(read(r#"["password", null]"#).is_err(), "a struct is an object, not a sequence");
    }
    #[test]
    fn strictly_read_null_is_only_accepted_for_a_nullable_field() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Changes {
            name: Option<String>,
            limit: Option<Nullable<i64>>,
        }

        let read = |body: &str| parse(body.as_bytes()).and_then(|document| Ok(document.read_strictly::<Changes>()?));
        assert!(matches!(read("{}"), Ok(Changes { name: None, limit: None })));
        assert!(matches!(read(r#"{"limit":null}"#), Ok(Changes { limit: Some(Nullable(None)), .. })));
        assert!(matches!(read(r#"{"limit":7}"#), Ok(Changes { limit: Some(Nullable(Some(7))), .. })));
        for (body, expected) in [(r#"{"name":null}"#, "name"), (r#"{"limit":[null]}"#, "limit"), ("null", BODY)] {
            let refused = read(body).expect_err(body);
            assert!(matches!(&refused, BadBody::Field { field, .. } if field == expected), "{body}: {refused:?}");
        }
        let lenient = parse(br#"{"name":null}"#).and_then(|document| Ok(document.read::<Changes>()?));
        assert!(matches!(lenient, Ok(Changes { name: None, .. })));
    }
}
