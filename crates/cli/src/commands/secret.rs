//! `countersign secret`

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::commands::administration::{CLIENT_HELP, Session, Verb};
use crate::commands::made_secret::MadeSecret;
use crate::moment::{When, parse_duration, parse_when, show};
use crate::output::Failure;
use crate::remote::{Call, members, parse_id};
use crate::table::Column;

const COLUMNS: [Column; 8] = [
    ("id", "ID"),
    ("label", "LABEL"),
    ("created_at", "CREATED"),
    ("not_before", "NOT BEFORE"),
    ("expires_at", "EXPIRES"),
    ("last_used_at", "LAST USED"),
    ("last_used_from", "FROM"),
    ("use_count", "USES"),
];

/// A rotation with a shorter overlap, in seconds, is confirmed, because nobody replaces a secret so quickly.
const SOON_S: i64 = 60;

#[derive(Debug, Subcommand)]
pub(crate) enum SecretVerb {
    /// List a client's secrets with their dates and uses. Secrets themselves are not shown
    #[command(after_help = "Example:\n  countersign secret list nightly-job")]
    List {
        #[arg(value_parser = parse_id, help = CLIENT_HELP)]
        client: String,
    },
    /// Create another secret, which is shown once
    #[command(after_help = "Examples:
  countersign secret create nightly-job --label laptop --expires 'in 90d'
  countersign secret create nightly-job --not-before 2026-12-24T00:00:00Z --env-file next.env")]
    Create(NewSecret),
    /// Create a new secret, and let the existing ones expire after an overlap
    #[command(after_help = "Examples:
  countersign secret rotate nightly-job --env-file new.env
  countersign secret rotate nightly-job --overlap 1h --output json
  countersign secret rotate nightly-job --again --env-file new.env")]
    Rotate {
        #[arg(value_parser = parse_id, help = CLIENT_HELP)]
        client: String,
        /// How long the existing secrets keep working
        #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "24h")]
        overlap: i64,
        /// A label for the new secret
        #[arg(long)]
        label: Option<String>,
        /// Rotate even if the last rotation was less than a minute ago, for example because its secret was lost
        #[arg(long)]
        again: bool,
        /// Write the credentials to this file (mode 0600) instead of printing them
        #[arg(long, value_name = "FILE")]
        env_file: Option<PathBuf>,
    },
    /// Revoke a secret
    #[command(after_help = "Examples:
  countersign secret end nightly-job cred_… --yes
  countersign secret end nightly-job cred_… --for-cause --force --yes")]
    End {
        #[arg(value_parser = parse_id, help = CLIENT_HELP)]
        client: String,
        /// The secret's ID, from `secret list`
        #[arg(value_parser = parse_id)]
        secret: String,
        /// The secret leaked: also revoke the client's tokens
        #[arg(long)]
        for_cause: bool,
        /// Revoke it even if it was used within the last hour
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewSecret {
    #[arg(value_parser = parse_id, help = CLIENT_HELP)]
    client: String,
    /// A label for the secret
    #[arg(long)]
    label: Option<String>,
    /// When the secret starts to work: an RFC 3339 time, or a relative time such as 'in 1h' [default: now]
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    not_before: Option<When>,
    /// When the secret expires: an RFC 3339 time, or a relative time such as 'in 90d' [default: never]
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    expires: Option<When>,
    /// Import the secret from this file (- for stdin) instead of creating one. It must have at least 32 characters
    #[arg(long, value_name = "FILE")]
    import_file: Option<PathBuf>,
    /// Write the credentials to this file (mode 0600) instead of printing them
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

impl Verb for SecretVerb {
    fn question(&self) -> Option<String> {
        match self {
            Self::End { client, secret, for_cause: false, .. } => {
                Some(format!("Revoke the secret {secret} of {client}?"))
            }
            Self::End { client, secret, .. } => Some(format!("Revoke the secret {secret} and all tokens of {client}?")),
            Self::Rotate { client, overlap, .. } if *overlap < SOON_S => {
                Some(format!("Create a new secret for {client}, and let the others expire in {overlap} seconds?"))
            }
            _ => None,
        }
    }

    async fn perform(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::List { client } => {
                let secrets = session.remote.list(Call::get(&["clients", &client, "secrets"]), None).await?;
                session.list("id", &COLUMNS, &secrets);
            }
            Self::Create(new) => create(session, new).await?,
            Self::Rotate { client, overlap, label, again, env_file } => {
                let made = MadeSecret::prepare(session, &client, ("", None), env_file)?;
                let asked = members([
                    ("label", label.map(Into::into)),
                    ("overlap_s", Some(json!(overlap))),
                    ("again", again.then(|| json!(true))),
                ]);
                let call = Call::post(&["clients", &client, "secrets", "rotate"], asked);
                let answer = session.remote.ask(call).await?.body;
                made.hand_over(session, "secret_id", &answer).await?;
                tell_of_the_old(session, &answer["old"]);
            }
            Self::End { client, secret, for_cause, force } => {
                let mut call = Call::delete(&["clients", &client, "secrets", &secret]);
                for (name, _) in [("for_cause", for_cause), ("force", force)].into_iter().filter(|(_, is_set)| *is_set)
                {
                    call = call.with_query(name, true);
                }
                session.finish(call, "ended", &secret).await?;
            }
        }
        Ok(())
    }
}

async fn create(session: &mut Session<'_>, new: NewSecret) -> Result<(), Failure> {
    let NewSecret { client, label, not_before, expires, import_file, env_file } = new;
    let made = MadeSecret::prepare(session, &client, ("--import-file", import_file), env_file)?;
    let at = |when: Option<When>| when.map(|when| json!(when.from(session.now)));
    let secret = members([
        ("label", label.map(Into::into)),
        ("not_before", at(not_before)),
        ("expires_at", at(expires)),
        ("import", made.imported()),
    ]);
    let answer = session.remote.ask(Call::post(&["clients", &client, "secrets"], secret)).await?.body;
    made.hand_over(session, "secret_id", &answer).await
}

fn tell_of_the_old(session: &mut Session<'_>, old: &Value) {
    let ids: Vec<&str> = old["ids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match old["expires_at"].as_i64().filter(|_| !ids.is_empty()) {
        Some(end) if end > session.now => {
            session.note(&format!("These secrets keep working until {} UTC: {}", show(end), ids.join(" ")));
        }
        Some(_) => session.note(&format!("Revoked these secrets: {}", ids.join(" "))),
        None => {}
    }
}
