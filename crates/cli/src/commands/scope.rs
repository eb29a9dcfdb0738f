//! `countersign scope`

use clap::Subcommand;
use serde_json::{Value, json};

use crate::commands::administration::{API_HELP, Session, Verb};
use crate::commands::entitled::{list_entitled, who_loses};
use crate::commands::list_change::{self, ListChange};
use crate::output::Failure;
use crate::remote::{Call, check_any, members, parse_id};
use crate::table::Column;

const COLUMNS: [Column; 4] =
    [("name", "NAME"), ("default", "DEFAULT"), ("rules", "RULES"), ("description", "DESCRIPTION")];
const MATCH_COLUMNS: [Column; 2] = [("scope", "SCOPE"), ("rule", "RULE")];

#[derive(Debug, Subcommand)]
pub(crate) enum ScopeVerb {
    /// Create a scope
    #[command(
        after_help = "A rule is METHOD[,METHOD] and a regular expression for the whole path. * matches any method. GET includes HEAD.

Examples:
  countersign scope create billing invoices:read --rule 'GET /invoices(/.*)?' --description 'Read invoices'
  countersign scope create billing all --rule '* .*' --default"
    )]
    Create {
        #[arg(value_parser = parse_id, help = API_HELP)]
        api: String,
        /// The scope's name, as clients request it
        #[arg(value_parser = parse_id)]
        name: String,
        /// A rule for the requests that the scope allows. Can be repeated
        #[arg(long, required = true, value_name = "RULE")]
        rule: Vec<String>,
        /// A description for people
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Grant it when a request names no scope
        #[arg(long)]
        default: bool,
    },
    /// List the scopes of an API
    #[command(after_help = "Example:\n  countersign scope list billing")]
    List {
        #[arg(value_parser = parse_id, help = API_HELP)]
        api: String,
    },
    /// Show a scope
    #[command(after_help = "Example:\n  countersign scope show billing invoices:read")]
    Show {
        #[arg(value_parser = parse_id, help = API_HELP)]
        api: String,
        /// The scope's name
        #[arg(value_parser = parse_id)]
        name: String,
    },
    /// Change a scope. Omitted options keep their current values
    #[command(after_help = "Examples:
  countersign scope update billing invoices:read --add-rule 'GET /invoices/[0-9]+'
  countersign scope update billing invoices:read --set-rule 'GET /invoices' --yes
  countersign scope update billing invoices:read --default true")]
    Update {
        #[arg(value_parser = parse_id, help = API_HELP)]
        api: String,
        /// The scope's name
        #[arg(value_parser = parse_id)]
        name: String,
        /// Add this rule. Can be repeated
        #[arg(long, value_name = "RULE")]
        add_rule: Vec<String>,
        /// Remove this rule. Can be repeated
        #[arg(long, value_name = "RULE")]
        remove_rule: Vec<String>,
        /// Replace all rules by this one. Can be repeated
        #[arg(long, value_name = "RULE", conflicts_with_all = ["add_rule", "remove_rule"])]
        set_rule: Vec<String>,
        /// A description for people
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Whether to grant it when a request names no scope
        #[arg(long, value_name = "true|false")]
        default: Option<bool>,
    },
    /// Delete a scope. Fails if a client still has an entitlement to it
    #[command(after_help = "Example:\n  countersign scope delete billing invoices:read --yes")]
    Delete {
        #[arg(value_parser = parse_id, help = API_HELP)]
        api: String,
        /// The scope's name
        #[arg(value_parser = parse_id)]
        name: String,
    },
    /// Show which scopes allow a request, and by which rule; fail if none does
    #[command(after_help = "Example:\n  countersign scope test billing GET /invoices/7")]
    Test {
        #[arg(value_parser = parse_id, help = API_HELP)]
        api: String,
        /// The request's method
        method: String,
        /// The request's path, without the query
        path: String,
    },
}

impl Verb for ScopeVerb {
    fn question(&self) -> Option<String> {
        match self {
            Self::Delete { api, name } => Some(format!("Delete the scope {name} of {api}?")),
            Self::Update { api, name, default: Some(false), .. } => {
                Some(format!("No longer grant {name} to clients of {api} that request no scope?"))
            }
            _ => None,
        }
    }

    async fn perform(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let call = match self {
            Self::List { api } => {
                let scopes = session.remote.list(Call::get(&["apis", &api, "scopes"]), None).await?;
                session.list("name", &COLUMNS, &scopes);
                return Ok(());
            }
            Self::Test { api, method, path } => return test(session, &api, &method.to_ascii_uppercase(), &path).await,
            Self::Delete { api, name } => {
                return session.finish(Call::delete(&["apis", &api, "scopes", &name]), "deleted", &name).await;
            }
            Self::Show { api, name } => Call::get(&["apis", &api, "scopes", &name]),
            Self::Create { api, name, rule, description, default } => {
                let description = description.map(Into::into);
                let rules = Some(json!(rule));
                let fields = [
                    ("name", Some(json!(name))),
                    ("description", description),
                    ("rules", rules),
                    ("default", Some(json!(default))),
                ];
                Call::post(&["apis", &api, "scopes"], members(fields)).naming("name", "NAME")
            }
            Self::Update { api, name, add_rule: add, remove_rule: remove, set_rule: set, description, default } => {
                let rules = ListChange { member: "rules", flags: ["--add-rule", "--set-rule"], add, remove, set };
                let fields = [("description", description.map(Into::into)), ("default", default.map(Into::into))];
                let fields = members(fields);
                check_any(&fields, !rules.is_empty())?;
                let effect = async |session: &mut Session<'_>, lost: &[String]| {
                    let clients = who_loses(list_entitled(session, &api, ("scope", &name)).await?);
                    Ok(format!("{name} will no longer allow {}. {clients} Continue?", lost.join(" and ")))
                };
                let path = ["apis", &api, "scopes", &name];
                let scope = list_change::update(session, &path, fields, &rules, effect).await?;
                session.show("name", &scope);
                return Ok(());
            }
        };
        let scope = session.remote.ask(call).await?.body;
        session.show("name", &scope);
        Ok(())
    }
}

async fn test(session: &mut Session<'_>, api: &str, method: &str, path: &str) -> Result<(), Failure> {
    let call = Call::get(&["apis", api, "match"]).with_query("method", method).with_query("path", path);
    let answer = session.remote.ask(call.naming("path", "PATH").naming("method", "METHOD")).await?.body;
    let matches = answer["matches"].as_array().map(Vec::as_slice).unwrap_or_default();
    let none = format!("no scope of {api} allows {method} {}", answer["path"].as_str().unwrap_or(path));
    if matches.is_empty() {
        session.only_json(&Value::Array(Vec::new()));
        return Err(Failure::new(none));
    }
    session.list("scope", &MATCH_COLUMNS, matches);
    Ok(())
}
