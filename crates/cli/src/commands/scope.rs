//! `countersign scope`: what an API's tokens may open

use clap::Subcommand;
use serde_json::{Value, json};

use crate::commands::administration::{Session, Verb};
use crate::output::Failure;
use crate::remote::{Call, changes, members, parse_id};
use crate::table::Column;

const COLUMNS: [Column; 4] =
    [("name", "NAME"), ("default", "DEFAULT"), ("rules", "RULES"), ("description", "DESCRIPTION")];
const MATCH_COLUMNS: [Column; 2] = [("scope", "SCOPE"), ("rule", "RULE")];

#[derive(Debug, Subcommand)]
pub(crate) enum ScopeVerb {
    /// Create a scope
    #[command(
        after_help = "A rule is METHOD[,METHOD] and a pattern for the whole path; * is any method, GET implies HEAD.

Examples:
  countersign scope create billing invoices:read --rule 'GET /invoices(/.*)?' --description 'Read invoices'
  countersign scope create billing all --rule '* .*' --default"
    )]
    Create {
        /// The API's id
        #[arg(value_parser = parse_id)]
        api: String,
        /// The scope's name, as clients ask for it
        #[arg(value_parser = parse_id)]
        name: String,
        /// What it opens, each rule by a flag of its own
        #[arg(long, required = true, value_name = "RULE")]
        rule: Vec<String>,
        /// What it is for, in words for people
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Give it also to who asks for no scope
        #[arg(long)]
        default: bool,
    },
    /// List the scopes of an API
    #[command(after_help = "Example:\n  countersign scope list billing")]
    List {
        /// The API's id
        #[arg(value_parser = parse_id)]
        api: String,
    },
    /// Show a scope
    #[command(after_help = "Example:\n  countersign scope show billing invoices:read")]
    Show {
        /// The API's id
        #[arg(value_parser = parse_id)]
        api: String,
        /// The scope's name
        #[arg(value_parser = parse_id)]
        name: String,
    },
    /// Change a scope; what is not named stays
    #[command(after_help = "Examples:
  countersign scope update billing invoices:read --rule 'GET /invoices' --rule 'GET /invoices/[0-9]+'
  countersign scope update billing invoices:read --default true")]
    Update {
        /// The API's id
        #[arg(value_parser = parse_id)]
        api: String,
        /// The scope's name
        #[arg(value_parser = parse_id)]
        name: String,
        /// What it opens instead, each rule by a flag of its own
        #[arg(long, value_name = "RULE")]
        rule: Vec<String>,
        /// What it is for, in words for people
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Whether it is also given to who asks for no scope
        #[arg(long, value_name = "true|false")]
        default: Option<bool>,
    },
    /// Delete a scope that no client is entitled to
    #[command(after_help = "Example:\n  countersign scope delete billing invoices:read --yes")]
    Delete {
        /// The API's id
        #[arg(value_parser = parse_id)]
        api: String,
        /// The scope's name
        #[arg(value_parser = parse_id)]
        name: String,
    },
    /// Say which scopes open a request, each by which rule; fail if none does
    #[command(after_help = "Example:\n  countersign scope test billing GET /invoices/7")]
    Test {
        /// The API's id
        #[arg(value_parser = parse_id)]
        api: String,
        /// The method of the request
        method: String,
        /// The path of the request, without query
        path: String,
    },
}

impl Verb for ScopeVerb {
    fn question(&self) -> Option<String> {
        match self {
            Self::Delete { api, name } => Some(format!("Delete the scope {name} of {api}?")),
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
            Self::Update { api, name, rule, description, default } => {
                let rules = (!rule.is_empty()).then(|| json!(rule));
                let description = description.map(Into::into);
                let fields = [("description", description), ("rules", rules), ("default", default.map(Into::into))];
                Call::patch(&["apis", &api, "scopes", &name], changes(fields)?)
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
    let none = format!("no scope of {api} opens {method} {}", answer["path"].as_str().unwrap_or(path));
    if matches.is_empty() {
        session.only_json(&Value::Array(Vec::new()));
        return Err(Failure::new(none));
    }
    session.list("scope", &MATCH_COLUMNS, matches);
    Ok(())
}
