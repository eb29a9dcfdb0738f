//! `countersign client allow` and `client disallow`

use http::HeaderValue;
use serde_json::{Value, json};

use crate::commands::administration::{API_HELP, CLIENT_HELP, Session};
use crate::commands::list_change::TRIES;
use crate::output::Failure;
use crate::remote::{Call, parse_id};

#[derive(Debug, clap::Args)]
pub(crate) struct Allowance {
    #[arg(value_parser = parse_id, help = CLIENT_HELP)]
    id: String,
    #[arg(value_parser = parse_id, help = API_HELP)]
    api: String,
    /// A scope that the client may request. Can be repeated
    #[arg(long, value_name = "SCOPE", required_unless_present_any = ["grant", "introspect"], requires = "grant")]
    scope: Vec<String>,
    /// A grant that the client may use: client_credentials, password or refresh_token. Can be repeated
    #[arg(long, value_name = "GRANT")]
    grant: Vec<String>,
    /// Allow the client to introspect every token of the API
    #[arg(long)]
    introspect: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Removal {
    #[arg(value_parser = parse_id, help = CLIENT_HELP)]
    id: String,
    #[arg(value_parser = parse_id, help = API_HELP)]
    api: String,
    /// Only remove this scope. Can be repeated
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// Only remove this grant. Can be repeated
    #[arg(long, value_name = "GRANT")]
    grant: Vec<String>,
}

impl Removal {
    fn is_whole(&self) -> bool {
        self.scope.is_empty() && self.grant.is_empty()
    }

    /// Returns the question to ask before.
    pub(crate) fn question(&self) -> String {
        let Self { id, api, scope, grant } = self;
        if self.is_whole() {
            return format!("Remove the entitlement of {id} to {api}, and revoke its tokens for {api}?");
        }
        let what = [scope.as_slice(), grant.as_slice()].concat().join(" and ");
        format!("Remove {what} from the entitlement of {id} to {api}, and revoke the tokens that use it?")
    }
}

/// Removes an entitlement, or a part of it.
pub(crate) async fn disallow(session: &mut Session<'_>, removal: Removal) -> Result<(), Failure> {
    let (id, api) = (&removal.id, &removal.api);
    let path = ["clients", id.as_str(), "entitlements", api.as_str()];
    if removal.is_whole() {
        let sentence = format!("{id} can no longer request tokens for {api}.");
        return session.finish_saying(Call::delete(&path), "disallowed", api, &sentence).await;
    }
    let mut tried = 0;
    loop {
        tried += 1;
        let known = session.remote.ask(Call::get(&path)).await?;
        let left = removal.left_of(&known.body)?;
        match session.remote.ask(Call::put(&path, left).if_still(known.etag)).await {
            Err(Failure::ChangedMeanwhile(_)) if tried < TRIES => {}
            Err(failure) => return Err(failure),
            Ok(answer) => {
                session.show("api", &answer.body);
                return Ok(());
            }
        }
    }
}

impl Removal {
    /// Returns what is left of an entitlement. Fails if it does not contain what is removed, which may be a typo.
    fn left_of(&self, known: &Value) -> Result<Value, Failure> {
        let without = |member: &str, removed: &[String]| {
            let all = known[member].as_array().cloned().unwrap_or_default();
            match removed.iter().find(|name| !all.iter().any(|one| one == *name)) {
                Some(missing) => Err(Failure::new(format!("{} has no {missing} for {}", self.id, self.api))),
                None => Ok(all.into_iter().filter(|one| !removed.iter().any(|name| one == name)).collect::<Vec<_>>()),
            }
        };
        let (scopes, grants) = (without("scopes", &self.scope)?, without("grants", &self.grant)?);
        if scopes.is_empty() || grants.is_empty() {
            let (id, api) = (&self.id, &self.api);
            return Err(Failure::new(format!(
                "this would leave no scope or no grant; to remove the whole entitlement, run `countersign client disallow \
                 {id} {api}`"
            )));
        }
        Ok(json!({ "scopes": scopes, "grants": grants, "introspect": known["introspect"] }))
    }
}

/// Reads the entitlement, adds to it, and writes it back. Starts over if it has changed in the meantime.
pub(crate) async fn allow(session: &mut Session<'_>, allowance: Allowance) -> Result<(), Failure> {
    let path = ["clients", &allowance.id, "entitlements", &allowance.api];
    let mut tried = 0;
    loop {
        tried += 1;
        let (known, etag) = find(session, &path).await?;
        match session.remote.ask(Call::put(&path, allowance.added_to(&known)).if_still(etag)).await {
            Err(Failure::ChangedMeanwhile(_)) if tried < TRIES => {}
            Err(failure) => return Err(failure),
            Ok(answer) => {
                session.show("api", &answer.body);
                return Ok(());
            }
        }
    }
}

/// Returns the entitlement and its ETag, or null if there is none.
async fn find(session: &mut Session<'_>, path: &[&str]) -> Result<(Value, Option<HeaderValue>), Failure> {
    match session.remote.ask(Call::get(path)).await {
        Ok(answer) => Ok((answer.body, answer.etag)),
        Err(Failure::NotFound(_)) => Ok((Value::Null, None)),
        Err(failure) => Err(failure),
    }
}

impl Allowance {
    fn added_to(&self, known: &Value) -> Value {
        let scopes = union(&known["scopes"], &self.scope);
        let grants = union(&known["grants"], &self.grant);
        let introspect = self.introspect || known["introspect"] == json!(true);
        json!({ "scopes": scopes, "grants": grants, "introspect": introspect })
    }
}

fn union(known: &Value, more: &[String]) -> Vec<Value> {
    let mut all = known.as_array().cloned().unwrap_or_default();
    for name in more {
        if !all.iter().any(|one| one == name) {
            all.push(json!(name));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_adds_to_an_entitlement_and_removes_nothing() {
        let allowance = |scope: &[&str], grant: &[&str], introspect| Allowance {
            id: String::new(),
            api: String::new(),
            scope: scope.iter().map(|name| (*name).to_owned()).collect(),
            grant: grant.iter().map(|name| (*name).to_owned()).collect(),
            introspect,
        };
        let known = json!({ "api": "billing", "scopes": ["r"], "grants": ["password"], "introspect": true });
        for (allowance, known, expected) in [
            (
                allowance(&["r", "w"], &["client_credentials"], false),
                &known,
                r#"{"scopes":["r","w"],"grants":["password","client_credentials"],"introspect":true}"#,
            ),
            (
                allowance(&["r"], &["client_credentials"], false),
                &Value::Null,
                r#"{"scopes":["r"],"grants":["client_credentials"],"introspect":false}"#,
            ),
            (allowance(&[], &[], true), &Value::Null, r#"{"scopes":[],"grants":[],"introspect":true}"#),
        ] {
            assert_eq!(allowance.added_to(known).to_string(), expected);
        }
    }
}
