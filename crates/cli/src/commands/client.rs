//! `countersign client`

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::commands::administration::{CLIENT_HELP, Session, Verb};
use crate::commands::entitlement::{Allowance, Removal, allow, disallow};
use crate::commands::list_change::{self, ListChange};
use crate::commands::made_secret::MadeSecret;
use crate::moment::parse_duration;
use crate::output::Failure;
use crate::remote::{Call, check_any, members, parse_id};
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
    /// Create a client and its first secret, which is shown once
    #[command(after_help = "Examples:
  countersign client create nightly-job --owner ops@example.com --output json
  countersign client create nightly-job --env-file nightly-job.env
  countersign client create nightly-job --import-secret-file secret.txt")]
    Create(NewClient),
    /// List the clients, oldest first
    #[command(after_help = "Examples:
  countersign client list
  countersign client list --quiet | wc -l
  countersign client list --unused 30d
  countersign client list --api billing --grant password")]
    List {
        /// Only clients that are older than this, and have not authenticated for this long
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        unused: Option<i64>,
        /// Only clients with an entitlement to this API
        #[arg(long, value_name = "API", value_parser = parse_id)]
        api: Option<String>,
        /// Only clients that may request this scope of the API
        #[arg(long, value_name = "SCOPE", requires = "api")]
        scope: Option<String>,
        /// Only clients that may use this grant for the API
        #[arg(long, value_name = "GRANT", requires = "api")]
        grant: Option<String>,
    },
    /// Show a client and its entitlements
    #[command(after_help = "Example:\n  countersign client show nightly-job")]
    Show {
        #[arg(value_parser = parse_id, help = CLIENT_HELP)]
        id: String,
    },
    /// Change a client. Omitted options keep their current values
    #[command(after_help = "Examples:
  countersign client update nightly-job --owner billing@example.com
  countersign client update nightly-job --tokens-per-minute 60
  countersign client update nightly-job --tokens-per-minute none
  countersign client update nightly-job --remove-auth-method client_secret_post --yes")]
    Update {
        #[arg(value_parser = parse_id, help = CLIENT_HELP)]
        id: String,
        /// Allow this authentication method, too: client_secret_basic or client_secret_post. Can be repeated
        #[arg(long, value_name = "METHOD")]
        add_auth_method: Vec<String>,
        /// No longer allow this authentication method. Can be repeated
        #[arg(long, value_name = "METHOD")]
        remove_auth_method: Vec<String>,
        /// Allow only this authentication method. Can be repeated
        #[arg(long, value_name = "METHOD", conflicts_with_all = ["add_auth_method", "remove_auth_method"])]
        set_auth_method: Vec<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Enable a disabled client
    #[command(after_help = "Example:\n  countersign client enable nightly-job")]
    Enable {
        #[arg(value_parser = parse_id, help = CLIENT_HELP)]
        id: String,
    },
    /// Disable a client and revoke all its tokens. Enabling it again does not restore them
    #[command(after_help = "Example:\n  countersign client disable nightly-job --yes")]
    Disable {
        #[arg(value_parser = parse_id, help = CLIENT_HELP)]
        id: String,
    },
    /// Revoke all tokens of a client. It can request new ones
    #[command(after_help = "Example:\n  countersign client revoke nightly-job --yes")]
    Revoke {
        #[arg(value_parser = parse_id, help = CLIENT_HELP)]
        id: String,
    },
    /// Delete a client and its secrets, and revoke its tokens
    #[command(after_help = "Example:\n  countersign client delete nightly-job --yes")]
    Delete {
        #[arg(value_parser = parse_id, help = CLIENT_HELP)]
        id: String,
    },
    /// Add scopes and grants to a client's entitlement to an API
    #[command(after_help = "Examples:
  countersign client allow nightly-job billing --scope invoices:read --grant client_credentials
  countersign client allow billing-api billing --introspect")]
    Allow(Allowance),
    /// Remove a client's entitlement to an API, or only some of its scopes and grants
    #[command(after_help = "Examples:
  countersign client disallow nightly-job billing --yes
  countersign client disallow nightly-job billing --scope invoices:write --yes")]
    Disallow(Removal),
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewClient {
    /// The client_id
    #[arg(value_parser = parse_id)]
    id: String,
    #[command(flatten)]
    settings: Settings,
    /// A method that the client may authenticate with: client_secret_basic or client_secret_post. Can be repeated
    /// [default: both]
    #[arg(long, value_name = "METHOD")]
    auth_method: Vec<String>,
    /// Do not create a secret
    #[arg(long, conflicts_with_all = ["import_secret_file", "env_file"])]
    no_secret: bool,
    /// Import the secret from this file (- for stdin) instead of creating one. It must have at least 32 characters
    #[arg(long, value_name = "FILE")]
    import_secret_file: Option<PathBuf>,
    /// Write the credentials to this file (mode 0600) instead of printing them
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Display name [default for a new client: the client_id]
    #[arg(long)]
    name: Option<String>,
    /// Contact for questions about this client
    #[arg(long, value_name = "CONTACT")]
    owner: Option<String>,
    /// Maximum number of tokens per minute on each node, or `none` for no limit
    #[arg(long, value_name = "COUNT", value_parser = parse_limit)]
    tokens_per_minute: Option<Limit>,
    /// Maximum number of tokens per day on each node, or `none` for no limit
    #[arg(long, value_name = "COUNT", value_parser = parse_limit)]
    tokens_per_day: Option<Limit>,
}

/// An optional limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit(Option<u32>);

fn parse_limit(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => text.parse().map(|most| Limit(Some(most))).map_err(|_| "must be a whole number or `none`".to_owned()),
    }
}

impl Verb for ClientVerb {
    fn question(&self) -> Option<String> {
        match self {
            Self::Disable { id } => Some(format!("Disable the client {id} and revoke all its tokens?")),
            Self::Revoke { id } => Some(format!("Revoke all tokens of the client {id}?")),
            Self::Delete { id } => Some(format!("Delete the client {id} and its secrets, and revoke its tokens?")),
            Self::Disallow(removal) => Some(removal.question()),
            _ => None,
        }
    }

    async fn perform(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let call = match self {
            Self::Create(new) => return create(session, new).await,
            Self::Allow(allowance) => return allow(session, allowance).await,
            Self::List { unused, api, scope, grant } => {
                let mut call = Call::get(&["clients"]);
                for (name, value) in [("api", api), ("scope", scope), ("grant", grant)] {
                    if let Some(value) = value {
                        call = call.with_query(name, value);
                    }
                }
                if let Some(age) = unused {
                    call = call.with_query("unused_since", session.now.saturating_sub(age));
                }
                let clients = session.remote.list(call, None).await?;
                session.list("client_id", &COLUMNS, &clients);
                return Ok(());
            }
            Self::Delete { id } => return session.finish(Call::delete(&["clients", &id]), "deleted", &id).await,
            Self::Disallow(removal) => return disallow(session, removal).await,
            Self::Revoke { id } => {
                let call = Call::post(&["revocations"], json!({ "client_id": id }));
                return session
                    .finish_saying(call, "revoked", &id, &format!("All tokens of {id} have been revoked."))
                    .await;
            }
            Self::Show { id } => Call::get(&["clients", &id]),
            Self::Update { id, add_auth_method: add, remove_auth_method: remove, set_auth_method: set, settings } => {
                let fields = members(settings.fields());
                let methods = ListChange {
                    member: "auth_methods",
                    flags: ["--add-auth-method", "--set-auth-method"],
                    add,
                    remove,
                    set,
                };
                check_any(&fields, !methods.is_empty())?;
                let effect = async |_: &mut Session<'_>, lost: &[String]| {
                    Ok(format!("{id} will no longer be able to authenticate with {}. Continue?", lost.join(" and ")))
                };
                let client = list_change::update(session, &["clients", &id], fields, &methods, effect).await?;
                session.show("client_id", &client);
                return Ok(());
            }
            Self::Enable { id } => Call::patch(&["clients", &id], json!({ "status": "active" })),
            Self::Disable { id } => Call::patch(&["clients", &id], json!({ "status": "disabled" })),
        };
        let client = session.remote.ask(call).await?.body;
        session.show("client_id", &client);
        Ok(())
    }
}

async fn create(session: &mut Session<'_>, new: NewClient) -> Result<(), Failure> {
    let NewClient { id, settings, auth_method, no_secret, import_secret_file, env_file } = new;
    let mut client = members(settings.fields());
    if !auth_method.is_empty() {
        client["auth_methods"] = json!(auth_method);
    }
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
    made.hand_over(session, "client_id", &client["secret"]).await
}

impl Settings {
    fn fields(self) -> [(&'static str, Option<Value>); 4] {
        [
            ("name", self.name.map(Into::into)),
            ("owner", self.owner.map(Into::into)),
            ("tokens_per_minute", self.tokens_per_minute.map(|Limit(most)| json!(most))),
            ("tokens_per_day", self.tokens_per_day.map(|Limit(most)| json!(most))),
        ]
    }
}
