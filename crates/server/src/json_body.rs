//! A JSON body, read strictly: whatever is wrong is named by its field.

use axum::extract::Request;
use countersign_protocol::refusal::Refusal;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use crate::body;

/// How the fault of a field that nobody knows begins.
const UNKNOWN: &str = "unknown field";
/// What stands for the whole in place of a field.
pub(crate) const BODY: &str = "the body";

/// What serde says of types, and what people say.
const WORDS: [(&str, &str); 6] = [
    ("expected i64", "expected a whole number"),
    ("expected u64", "expected a whole number"),
    ("expected a sequence", "expected a list"),
    ("expected a map", "expected an object"),
    ("invalid type: sequence", "invalid type: list"),
    ("invalid type: map", "invalid type: object"),
];

/// Why a body is refused.
#[derive(Debug)]
pub(crate) enum BadBody {
    /// Its type is not `application/json`.
    NotJson,
    /// It did not arrive whole, in time and within bounds.
    Unread(Refusal),
    /// A field is wrong. The texts may repeat what was sent, and a secret may have been sent: they are for the caller.
    Field {
        /// The field, or [`BODY`].
        field: String,
        /// What is wrong with it.
        what: String,
    },
}

impl BadBody {
    fn field(field: &str, what: impl Into<String>) -> Self {
        Self::Field { field: field.to_owned(), what: what.into() }
    }

    /// What the log may know.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::NotJson => "the body is not JSON".to_owned(),
            Self::Unread(refusal) => refusal.to_string(),
            Self::Field { what, .. } if what.starts_with(UNKNOWN) => format!("the body: {UNKNOWN}"),
            Self::Field { field, .. } => format!("the body: {field}"),
        }
    }
}

/// Reads the body as a `T`, whose unknown fields must be refused by its own `Deserialize`.
pub(crate) async fn receive<T: DeserializeOwned>(request: Request) -> Result<T, BadBody> {
    if !is_json(request.headers()) {
        return Err(BadBody::NotJson);
    }
    parse(&body::read(request.into_body()).await.map_err(BadBody::Unread)?)
}

/// True for `application/json` with any parameters: JSON is UTF-8 (RFC 8259 §8.1).
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let only = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    let essence = only.and_then(|text| text.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, BadBody> {
    // Otherwise serde would take an array of the fields' values too.
    if body.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(BadBody::field(BODY, "must be a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        describe(&path, &error.into_inner().to_string())
    })?;
    deserializer.end().map_err(|_| BadBody::field(BODY, "has something after its JSON object"))?;
    Ok(value)
}

/// The field and what is wrong with it, from serde's own words.
fn describe(path: &str, text: &str) -> BadBody {
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    let named = |prefix: &str| text.strip_prefix(prefix)?.split_once('`');
    if let Some((field, _)) = named("missing field `") {
        BadBody::field(field, "missing")
    } else if let Some((field, _)) = named("duplicate field `") {
        BadBody::field(field, "there twice")
    } else if let Some((field, rest)) = named("unknown field `") {
        BadBody::field(field, format!("{UNKNOWN}{rest}"))
    } else {
        let text = WORDS.iter().fold(text.to_owned(), |text, (of_rust, ours)| text.replace(of_rust, ours));
        BadBody::field(if matches!(path, "." | "?") { BODY } else { path }, text)
    }
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
        let message = |body: &str| match parse::<Asked>(body.as_bytes()) {
            Err(BadBody::Field { field, what }) => format!("{field}: {what}"),
            other => panic!("{body}: {other:?}"),
        };
        for (body, expected) in [
            (r#"{}"#, "grantType: missing"),
            (r#"{"grantType":"x"}"#, "grantType: unknown variant `x`, expected `password`"),
            (r#"{"grantType":"password","grant_type":"password"}"#, "grantType: there twice"),
            (r#"{"grantType":"password","grantType":"password"}"#, "grantType: there twice"),
            (r#"{"grantType":"password","user_name":7}"#, "user_name: invalid type: integer `7`"),
            (r#"{"grantType":"password","x":1}"#, "x: unknown field, expected"),
            (r#"{"grantType":"password"} x"#, "the body: has something after its JSON object"),
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
