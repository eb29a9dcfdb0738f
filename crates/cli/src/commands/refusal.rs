//! `countersign refusal`

use clap::Subcommand;

use crate::commands::administration::{Session, Verb};
use crate::output::Failure;
use crate::remote::Call;
use crate::table::Column;

const COLUMNS: [Column; 6] = [
    ("request_id", "REQUEST"),
    ("at", "AT (UTC)"),
    ("client_id", "CLIENT"),
    ("endpoint", "ENDPOINT"),
    ("error", "ERROR"),
    ("reason", "REASON"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum RefusalVerb {
    /// List recent refusals, oldest first. During a flood, only the first ones of each minute are recorded
    #[command(after_help = "Examples:
  countersign refusal list --client nightly-job --limit 20
  countersign explain REQUEST")]
    List {
        /// Only refusals of this client
        #[arg(long, value_name = "ID")]
        client: Option<String>,
        /// Maximum number of refusals, up to 1000 [default: 100]
        #[arg(long, value_name = "COUNT")]
        limit: Option<u32>,
    },
}

impl Verb for RefusalVerb {
    fn question(&self) -> Option<String> {
        None
    }

    async fn perform(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let Self::List { client, limit } = self;
        let mut call = Call::get(&["refusals"]);
        if let Some(client) = client {
            call = call.with_query("client_id", client);
        }
        if let Some(limit) = limit {
            call = call.with_query("limit", limit);
        }
        let refusals = session.remote.list_at_once(call).await?;
        session.list("request_id", &COLUMNS, &refusals);
        Ok(())
    }
}
