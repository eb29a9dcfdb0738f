//! `countersign audit`

use std::num::NonZeroUsize;

use clap::Subcommand;

use crate::commands::administration::{Session, Verb};
use crate::output::Failure;
use crate::remote::Call;
use crate::table::Column;

const COLUMNS: [Column; 6] = [
    ("sequence", "NO"),
    ("at", "AT (UTC)"),
    ("actor", "ACTOR"),
    ("action", "ACTION"),
    ("target", "TARGET"),
    ("address", "FROM"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// List the records, oldest first. JSON output includes the values before and after
    #[command(after_help = "Examples:
  countersign audit list --after 120
  countersign audit list --output json | jq '.[] | select(.actor == \"operator\")'")]
    List {
        /// Only records after this number
        #[arg(long, value_name = "NO", default_value_t = 0)]
        after: u32,
        /// Maximum number of records
        #[arg(long, value_name = "COUNT")]
        limit: Option<NonZeroUsize>,
    },
    /// Print a fingerprint of the last record. Store it elsewhere to detect later that records were removed
    #[command(after_help = "Example:\n  countersign audit head > /mnt/elsewhere/audit-head")]
    Head,
    /// Check whether a record was changed, removed or moved, and fail if one was
    #[command(after_help = "Examples:
  countersign audit verify
  countersign audit verify --head \"$(cat /mnt/elsewhere/audit-head)\"")]
    Verify {
        /// The earlier output of `audit head`
        #[arg(long)]
        head: Option<String>,
    },
}

impl Verb for AuditVerb {
    fn question(&self) -> Option<String> {
        None
    }

    async fn perform(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::List { after, limit } => {
                let call = Call::get(&["audit"]).with_query("after", after);
                let records = session.remote.list(call, limit.map(NonZeroUsize::get)).await?;
                session.list("sequence", &COLUMNS, &records);
                Ok(())
            }
            Self::Head => {
                let head = session.remote.ask(Call::get(&["audit", "head"])).await?.body;
                session.word(head["head"].as_str().unwrap_or_default(), &head);
                Ok(())
            }
            Self::Verify { head } => verify(session, head).await,
        }
    }
}

async fn verify(session: &mut Session<'_>, head: Option<String>) -> Result<(), Failure> {
    let call = Call::get(&["audit", "verify"]);
    let call = match head {
        Some(head) => call.with_query("head", head.trim()),
        None => call,
    };
    let verdict = session.remote.ask(call).await?.body;
    if verdict["intact"] != true {
        session.only_json(&verdict);
        let fault = verdict["fault"].as_str().unwrap_or("the server did not confirm it");
        return Err(Failure::new(format!("the audit log is not intact: {fault}")));
    }
    session.word(&format!("The audit log is intact: {} records.", verdict["records"]), &verdict);
    Ok(())
}
