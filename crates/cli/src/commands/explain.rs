//! `countersign explain`

use countersign_protocol::UnixTime;
use serde_json::{Value, json};

use crate::commands::administration::{Session, Verb};
use crate::moment;
use crate::output::Failure;
use crate::remote::{Call, parse_id};

#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    /// The X-Request-Id of the response. It is also in the log
    #[arg(value_parser = parse_id)]
    request_id: String,
}

impl Verb for Explain {
    fn question(&self) -> Option<String> {
        None
    }

    async fn perform(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let refusal = session.remote.ask(Call::get(&["refusals", &self.request_id])).await?.body;
        let now = session.now;
        session.show_in_words("request_id", &refusal, |refusal| in_words(refusal, now));
        Ok(())
    }
}

/// Returns the answers in the order in which a person asks the questions.
fn in_words(refusal: &Value, now: UnixTime) -> Value {
    let at = refusal["at"].as_i64().unwrap_or_default();
    let presented = refusal["presented"].as_object().into_iter().flatten();
    let presented: Vec<Value> = presented.filter_map(|(name, value)| present(name, value)).collect();
    json!({
        "refused": format!("{} UTC ({})", moment::show(at), moment::show_age(at, now)),
        "endpoint": refusal["endpoint"],
        "client": refusal["client_id"].as_str().unwrap_or("not identified"),
        "from": refusal["address"],
        "error": refusal["error"],
        "reason": refusal["reason"],
        "fix": refusal["remedy"],
        "presented": presented,
    })
}

/// Formats one line of the presented parameters, or nothing if the parameter was missing.
fn present(name: &str, value: &Value) -> Option<Value> {
    let text = match value {
        Value::Null => return None,
        Value::Array(items) if items.is_empty() => return None,
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => plain(other),
    };
    Some(json!({ name: format!("{}: {text}", name.replace('_', " ")) }))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::details;

    #[test]
    fn a_refusal_is_explained_in_a_readable_order() {
        let refusal = json!({
            "request_id": "r", "at": 1_795_601_100, "endpoint": "token", "client_id": null, "address": "127.0.0.1",
            "error": "invalid_client", "reason": "unknown client", "remedy": "check the client_id",
            "presented": { "authorization": "Basic", "path_api": null, "resource": [], "parameters": ["scope", "x"] },
        });
        assert_eq!(
            details(&in_words(&refusal, 1_795_601_160), 1_795_601_160, None),
            [
                "refused    2026-11-25 10:05 UTC (1 m ago)",
                "endpoint   token",
                "client     not identified",
                "from       127.0.0.1",
                "error      invalid_client",
                "reason     unknown client",
                "fix        check the client_id",
                "presented  authorization: Basic",
                "           parameters: scope, x",
            ]
        );
    }
}
