//! `countersign client`: who may ask for tokens

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::commands::administration::{Session, Verb};
use crate::commands::entitlement::{Allowance, allow};
use crate::commands::made_secret::MadeSecret;
use crate::moment::parse_duration;
use crate::output::Failure;
use crate::remote::{Call, changes, members, parse_id};
use crate::table::Column;

const COLUMNS: [Column; 6] = [
    ("client_id", "CLIENT"),
    ("name", "NAME"),
    ("owner", "OWNER"),
    ("status", "STATUS"),
    ("entitlements", "APIS"),
    ("created_at", "CREATED"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum ClientVerb {
    /// Create a client, with a secret that is shown once
    #[command(after_help = "Examples:
  countersign client create nightly-job --owner ops@example.com --output json
  countersign client create nightly-job --env-file nightly-job.env
  countersign client create nightly-job --import-secret-file secret.txt")]
    Create(NewClient),
    /// List the clients, the oldest first
    #[command(after_help = "Examples:
  countersign client list
  countersign client list --quiet | wc -l
  countersign client list --unused 30d")]
    List {
        /// Only clients that are older than this, and have not authenticated for so long
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        unused: Option<i64>,
    },
    /// Show a client with what it may ask
    #[command(after_help = "Example:\n  countersign client show nightly-job")]
    Show {
        #[arg(value_parser = parse_id)]
        id: String,
    },
    /// Change a client; what is not named stays
    #[command(after_help = "Examples:
  countersign client update nightly-job --owner billing@example.com
  countersign client update nightly-job --tokens-per-minute 60
  countersign client update nightly-job --tokens-per-minute none")]
    Update {
        #[arg(value_parser = parse_id)]
        id: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Let a disabled client ask again
    #[command(after_help = "Example:\n  countersign client enable nightly-job")]
    Enable {
        #[arg(value_parser = parse_id)]
        id: String,
    },
    /// Refuse a client until it is enabled; all tokens issued to it end for good
    #[command(after_help = "Example:\n  countersign client disable nightly-job --yes")]
    Disable {
        #[arg(value_parser = parse_id)]
        id: String,
    },
    /// End all tokens of a client; it can get new ones
    #[command(after_help = "Example:\n  countersign client revoke nightly-job --yes")]
    Revoke {
        #[arg(value_parser = parse_id)]
        id: String,
    },
    /// Delete a client with its secrets; its tokens end
    #[command(after_help = "Example:\n  countersign client delete nightly-job --yes")]
    Delete {
        #[arg(value_parser = parse_id)]
        id: String,
    },
    /// Let a client ask for more of an API, beside what it may ask already
    #[command(after_help = "Examples:
  countersign client allow nightly-job billing --scope invoices:read --grant client_credentials
  countersign client allow billing-api billing --introspect")]
    Allow(Allowance),
    /// Take from a client all that it may ask of an API
    #[command(after_help = "Example:\n  countersign client disallow nightly-job billing")]
    Disallow {
        #[arg(value_parser = parse_id)]
        id: String,
        /// The API's id
        #[arg(value_parser = parse_id)]
        api: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewClient {
    /// Its client_id
    #[arg(value_parser = parse_id)]
    id: String,
    #[command(flatten)]
    settings: Settings,
    /// Make no secret now
    #[arg(long, conflicts_with_all = ["import_secret_file", "env_file"])]
    no_secret: bool,
    /// Take the secret of this file (- for stdin) instead of a new one; it has at least 32 characters
    #[arg(long, value_name = "FILE")]
    import_secret_file: Option<PathBuf>,
    /// Write the credentials to this file (0600) instead of showing them
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Its name for people [default of a new one: the client_id]
    #[arg(long)]
    name: Option<String>,
    /// Whom to ask about it
    #[arg(long, value_name = "CONTACT")]
    owner: Option<String>,
    /// How it may authenticate, each by a flag of its own: client_secret_basic, client_secret_post [default of a new one: both]
    #[arg(long, value_name = "METHOD")]
    auth_method: Vec<String>,
    /// The most tokens that it gets in a minute from one node, or none for no limit
    #[arg(long, value_name = "COUNT", value_parser = parse_limit)]
    tokens_per_minute: Option<Limit>,
    /// The most tokens that it gets in a day from one node, or none for no limit
    #[arg(long, value_name = "COUNT", value_parser = parse_limit)]
    tokens_per_day: Option<Limit>,
}

/// The most of something, if there is a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit(Option<u32>);

fn parse_limit(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => text.parse().map(|most| Limit(Some(most))).map_err(|_| "must be a whole number, or none".to_owned()),
    }
}

impl Verb for ClientVerb {
    fn question(&self) -> Option<String> {
        match self {
            Self::Disable { id } => Some(format!("Disable the client {id}, and end all its tokens?")),
            Self::Revoke { id } => Some(format!("End all tokens of the client {id}?")),
            Self::Delete { id } => Some(format!("Delete the client {id} with its secrets and tokens?")),
            _ => None,
        }
    }

    async fn perform(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let call = match self {
            Self::Create(new) => return create(session, new).await,
            Self::Allow(allowance) => return allow(session, allowance).await,
            Self::List { unused } => {
                let mut call = Call::get(&["clients"]);
                if let Some(age) = unused {
                    call = call.with_query("unused_since", session.now.saturating_sub(age));
                }
                let clients = session.remote.list(call, None).await?;
                session.list("client_id", &COLUMNS, &clients);
                return Ok(());
            }
            Self::Delete { id } => return session.finish(Call::delete(&["clients", &id]), "deleted", &id).await,
            Self::Disallow { id, api } => {
                let call = Call::delete(&["clients", &id, "entitlements", &api]);
                let sentence = format!("{id} may ask nothing of {api} any more.");
                return session.finish_saying(call, "disallowed", &api, &sentence).await;
            }
            Self::Revoke { id } => {
                let call = Call::post(&["revocations"], json!({ "client_id": id }));
                return session.finish_saying(call, "revoked", &id, &format!("All tokens of {id} are ended.")).await;
            }
            Self::Show { id } => Call::get(&["clients", &id]),
            Self::Update { id, settings } => Call::patch(&["clients", &id], changes(settings.fields())?),
            Self::Enable { id } => Call::patch(&["clients", &id], json!({ "status": "active" })),
            Self::Disable { id } => Call::patch(&["clients", &id], json!({ "status": "disabled" })),
        };
        let client = session.remote.ask(call).await?.body;
        session.show("client_id", &client);
        Ok(())
    }
}

async fn create(session: &mut Session<'_>, new: NewClient) -> Result<(), Failure> {
    let NewClient { id, settings, no_secret, import_secret_file, env_file } = new;
    let mut client = members(settings.fields());
    client["client_id"] = json!(id);
    if no_secret {
        let client = session.remote.ask(Call::post(&["clients"], client)).await?.body;
        session.show("client_id", &client);
        return Ok(());
    }
    let made = MadeSecret::prepare(session, &id, ("--import-secret-file", import_secret_file), env_file)?;
    client["secret"] = members([("import", made.imported())]);
    let call = Call::post(&["clients"], client).naming("import", "--import-secret-file");
    let client = session.remote.ask(call).await?.body;
    made.hand_over(session, "client_id", &client["secret"])
}

impl Settings {
    fn fields(self) -> [(&'static str, Option<Value>); 5] {
        [
            ("name", self.name.map(Into::into)),
            ("owner", self.owner.map(Into::into)),
            ("auth_methods", (!self.auth_method.is_empty()).then(|| json!(self.auth_method))),
            ("tokens_per_minute", self.tokens_per_minute.map(|Limit(most)| json!(most))),
            ("tokens_per_day", self.tokens_per_day.map(|Limit(most)| json!(most))),
        ]
    }
}
