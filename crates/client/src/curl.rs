//! Renders the request as a curl command on one line, which works when pasted into `sh`.

use url::form_urlencoded::byte_serialize;

use crate::exchange::{Field, Place, PreparedRequest, Value};

/// A shell command that percent-encodes every byte of the client's secret, using only POSIX tools.
const ENCODED_SECRET: &str = r#"$(printf %s "$CLIENT_SECRET" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g')"#;

impl PreparedRequest {
    /// Returns a command for `sh` on one line. The secrets are the variables `CLIENT_SECRET`, `PASSWORD`, `TOKEN` and
    /// `REFRESH_TOKEN`.
    ///
    /// If HTTP Basic requires a form-encoded secret (RFC 6749 §2.3.1), the command encodes it. The variables always
    /// contain the secrets themselves.
    pub fn to_curl(&self) -> String {
        let (url, fields) = self.parts();
        let mut words = vec!["curl".to_owned()];
        words.extend(basic(fields));
        words.push("-H 'Accept: application/json'".to_owned());
        words.extend(fields.iter().filter(|field| field.place == Place::Form).map(parameter));
        if url.contains(['[', ']', '{', '}']) {
            // Otherwise, curl would interpret these as URL patterns.
            words.push("-g".to_owned());
        }
        words.push(quote(&url));
        words.join(" ")
    }
}

/// Returns `-u` with both halves form-encoded. None of the remaining characters is special between double quotes.
fn basic(fields: &[Field]) -> Option<String> {
    let half = |field: &Field| match &field.value {
        Value::Plain(text) => encode(text),
        Value::Secret(secret) if encode(secret.expose()) == secret.expose() => "$CLIENT_SECRET".to_owned(),
        Value::Secret(_) => ENCODED_SECRET.to_owned(),
    };
    let halves: Vec<String> = fields.iter().filter(|field| field.place == Place::Basic).map(half).collect();
    (!halves.is_empty()).then(|| format!("-u \"{}\"", halves.join(":")))
}

fn parameter(field: &Field) -> String {
    let name = field.name;
    match &field.value {
        Value::Secret(_) => format!("--data-urlencode \"{name}=${}\"", variable(name)),
        Value::Plain(text) if encode(text) != *text && is_readable(text) => {
            format!("--data-urlencode {}", quote(&format!("{name}={text}")))
        }
        Value::Plain(text) => format!("-d {}", quote(&format!("{name}={}", encode(text)))),
    }
}

fn variable(name: &str) -> String {
    name.to_ascii_uppercase()
}

fn encode(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

/// False for control characters and for characters that change the text direction, which would break or hide parts of
/// the line.
fn is_readable(text: &str) -> bool {
    text.chars().all(|c| c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric())
}

/// Quotes a word for `sh` with single quotes. A quote in it ends the quoting, is escaped, and starts it again.
fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._/:=@%+,".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
