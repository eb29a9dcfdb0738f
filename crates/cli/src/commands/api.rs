//! `countersign api`

use clap::Subcommand;
use serde_json::{Value, json};

use crate::commands::administration::{API_HELP, Session, Verb};
use crate::commands::entitled::{list_entitled, who_loses};
use crate::commands::list_change::{self, ListChange};
use crate::moment::parse_duration;
use crate::output::Failure;
use crate::remote::{Call, check_any, members, parse_id};
use crate::table::Column;

const COLUMNS: [Column; 6] = [
    ("id", "ID"),
    ("audience", "AUDIENCE"),
    ("grants", "GRANTS"),
    ("access_token_lifetime_s", "LIFETIME"),
    ("algorithm", "ALGORITHM"),
    ("created_at", "CREATED"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum ApiVerb {
    /// Create an API
    #[command(after_help = "Examples:
  countersign api create billing --audience https://billing.example
  countersign api create reports --audience https://reports.example --lifetime 15m --grant client_credentials --grant refresh_token")]
    Create {
        /// The API's ID, used in commands and URLs
        #[arg(value_parser = parse_id)]
        id: String,
        /// The `aud` of its tokens, an absolute URI
        #[arg(long, value_name = "URI")]
        audience: String,
        /// A grant that the API allows. Can be repeated [default: client_credentials]
        #[arg(long, value_name = "GRANT")]
        grant: Vec<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// List the APIs, oldest first
    #[command(after_help = "Examples:
  countersign api list
  countersign api list --output json | jq -r '.[].audience'")]
    List,
    /// Show an API and its scopes
    #[command(after_help = "Example:\n  countersign api show billing")]
    Show {
        #[arg(value_parser = parse_id, help = API_HELP)]
        id: String,
    },
    /// Change an API. Omitted options keep their current values
    #[command(after_help = "Examples:
  countersign api update billing --lifetime 5m
  countersign api update billing --add-grant password
  countersign api update billing --remove-grant password --yes")]
    Update(Update),
    /// Delete an API. Fails if a client still has an entitlement to it
    #[command(after_help = "Example:\n  countersign api delete billing --yes")]
    Delete {
        #[arg(value_parser = parse_id, help = API_HELP)]
        id: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    #[arg(value_parser = parse_id, help = API_HELP)]
    id: String,
    /// The `aud` of its tokens, an absolute URI. Revokes all tokens with the old audience
    #[arg(long, value_name = "URI")]
    audience: Option<String>,
    /// Allow this grant, too. Can be repeated
    #[arg(long, value_name = "GRANT")]
    add_grant: Vec<String>,
    /// No longer allow this grant. Can be repeated
    #[arg(long, value_name = "GRANT")]
    remove_grant: Vec<String>,
    /// Allow only this grant. Can be repeated
    #[arg(long, value_name = "GRANT", conflicts_with_all = ["add_grant", "remove_grant"])]
    set_grant: Vec<String>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Display name [default for a new API: the ID]
    #[arg(long)]
    name: Option<String>,
    /// Signing algorithm: ES256, RS256 or EdDSA [default for a new API: ES256]
    #[arg(long)]
    algorithm: Option<String>,
    /// Lifetime of access tokens, for example 15m [default for a new API: 1h]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    lifetime: Option<i64>,
    /// A refresh token expires if it is not used for this long [default for a new API: 7d]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    refresh_idle: Option<i64>,
    /// Refresh tokens expire this long after the sign-in [default for a new API: 30d]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    refresh_absolute: Option<i64>,
    /// How long a repeated refresh returns the same refresh token, 0s to 2m [default for a new API: 30s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    refresh_retry: Option<i64>,
}

impl Verb for ApiVerb {
    fn question(&self) -> Option<String> {
        match self {
            Self::Delete { id } => Some(format!("Delete the API {id} and its scopes?")),
            Self::Update(Update { id, audience: Some(audience), .. }) => {
                Some(format!("Change the audience of {id} to {audience} and revoke all tokens with the old one?"))
            }
            _ => None,
        }
    }

    async fn perform(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let call = match self {
            Self::List => {
                let apis = session.remote.list(Call::get(&["apis"]), None).await?;
                session.list("id", &COLUMNS, &apis);
                return Ok(());
            }
            Self::Delete { id } => {
                return session.finish(Call::delete(&["apis", &id]), "deleted", &id).await;
            }
            Self::Show { id } => Call::get(&["apis", &id]),
            Self::Create { id, audience, grant, settings } => {
                let mut api = members(settings.fields());
                if !grant.is_empty() {
                    api["grants"] = json!(grant);
                }
                api["id"] = json!(id);
                api["audience"] = json!(audience);
                Call::post(&["apis"], api)
            }
            Self::Update(asked) => {
                let api = update(session, asked).await?;
                session.show("id", &api);
                return Ok(());
            }
        };
        let api = session.remote.ask(call).await?.body;
        session.show("id", &api);
        Ok(())
    }
}

async fn update(session: &mut Session<'_>, asked: Update) -> Result<Value, Failure> {
    let Update { id, audience, add_grant: add, remove_grant: remove, set_grant: set, settings } = asked;
    let grants = ListChange { member: "grants", flags: ["--add-grant", "--set-grant"], add, remove, set };
    let mut fields = members(settings.fields());
    if let Some(audience) = audience {
        fields["audience"] = json!(audience);
    }
    check_any(&fields, !grants.is_empty())?;
    let effect = async |session: &mut Session<'_>, lost: &[String]| {
        let mut clients = Vec::new();
        for grant in lost {
            clients.extend(list_entitled(session, &id, ("grant", grant)).await?);
        }
        Ok(format!("{id} will no longer allow {}. {} Continue?", lost.join(" and "), who_loses(clients)))
    };
    list_change::update(session, &["apis", &id], fields, &grants, effect).await
}

impl Settings {
    fn fields(self) -> [(&'static str, Option<Value>); 6] {
        [
            ("name", self.name.map(Into::into)),
            ("algorithm", self.algorithm.map(Into::into)),
            ("access_token_lifetime_s", self.lifetime.map(Into::into)),
            ("refresh_idle_s", self.refresh_idle.map(Into::into)),
            ("refresh_absolute_s", self.refresh_absolute.map(Into::into)),
            ("refresh_retry_s", self.refresh_retry.map(Into::into)),
        ]
    }
}
