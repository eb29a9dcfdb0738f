//! `countersign usage`

use clap::Subcommand;

use crate::commands::administration::{Session, Verb};
use crate::moment::{When, parse_duration, parse_when};
use crate::output::Failure;
use crate::remote::Call;
use crate::table::Column;

const COLUMNS: [Column; 6] = [
    ("hour", "HOUR (UTC)"),
    ("client_id", "CLIENT"),
    ("secret_id", "SECRET"),
    ("api", "API"),
    ("grant", "GRANT"),
    ("tokens", "TOKENS"),
];
const UNUSED_COLUMNS: [Column; 6] = [
    ("kind", "KIND"),
    ("client_id", "CLIENT"),
    ("secret_id", "SECRET"),
    ("api", "API"),
    ("created_at", "CREATED"),
    ("last_used_at", "LAST USED"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum UsageVerb {
    /// Count the issued tokens by hour, client, secret, API and grant, oldest first
    #[command(after_help = "Examples:
  countersign usage list --client nightly-job --from 2026-11-01T00:00:00Z
  countersign usage list --output json | jq 'map(.tokens) | add'")]
    List {
        /// Only tokens of this client
        #[arg(long, value_name = "ID")]
        client: Option<String>,
        /// Start of the period
        #[arg(long, value_name = "WHEN", value_parser = parse_when)]
        from: Option<When>,
        /// End of the period, exclusive
        #[arg(long, value_name = "WHEN", value_parser = parse_when)]
        to: Option<When>,
    },
    /// List clients, secrets and entitlements that are older than this, and have not been used for this long
    #[command(after_help = "Example:\n  countersign usage unused 30d")]
    Unused {
        /// For example 30d
        #[arg(value_name = "DURATION", value_parser = parse_duration)]
        age: i64,
    },
}

impl Verb for UsageVerb {
    fn question(&self) -> Option<String> {
        None
    }

    async fn perform(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::List { client, from, to } => {
                let mut call = Call::get(&["usage"]);
                if let Some(client) = client {
                    call = call.with_query("client_id", client);
                }
                if let Some(from) = from {
                    call = call.with_query("from", from.from(session.now));
                }
                if let Some(to) = to {
                    call = call.with_query("to", to.from(session.now));
                }
                let counts = session.remote.list(call, None).await?;
                session.list("client_id", &COLUMNS, &counts);
            }
            Self::Unused { age } => {
                let call = Call::get(&["usage", "unused"]).with_query("since", session.now.saturating_sub(age));
                let unused = session.remote.list_at_once(call).await?;
                session.list("client_id", &UNUSED_COLUMNS, &unused);
            }
        }
        Ok(())
    }
}
