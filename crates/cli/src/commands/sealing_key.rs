//! `countersign sealing-key`

use std::path::PathBuf;

use clap::Subcommand;
use countersign_server::clock::{Clock, Entropy};
use countersign_server::keys::sealing_rotation::{Rotated, create, rotate};
use serde_json::json;
use tokio::runtime::Builder;

use crate::args::{Format, PlaceArgs};
use crate::output::{Failure, Output};
use crate::settings;

#[derive(Debug, clap::Args)]
pub(crate) struct SealingKey {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write a new sealing key to a private file
    #[command(after_help = "Example:\n  countersign sealing-key create /etc/countersign/sealing-key-2027")]
    Create {
        /// The file, which must not exist
        file: PathBuf,
    },
    /// Encrypt all secrets with a new sealing key. Tokens and secrets stay valid
    #[command(after_help = "Examples:
  countersign sealing-key rotate --data-dir /var/lib/countersign
  COUNTERSIGN_SEALING_KEY_NEXT_FILE=/etc/countersign/sealing-key-2027 countersign sealing-key rotate --config /etc/countersign.toml")]
    Rotate(Rotate),
}

#[derive(Debug, clap::Args)]
struct Rotate {
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    place: PlaceArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Creates or rotates the sealing key, and prints the next step.
pub(crate) fn run(args: &SealingKey, environment: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    let args = match &args.verb {
        Verb::Create { file } => {
            create(file, &Entropy::System).map_err(Failure::new)?;
            output.line(&format!(
                "Wrote a new sealing key to {}. Keep a copy of it, away from the database.",
                file.display()
            ));
            return Ok(());
        }
        Verb::Rotate(rotate) => rotate,
    };
    let settings = settings::read(&args.place.settings(), environment).map_err(Failure::new)?;
    if !args.yes {
        let database = settings.config.database().map_err(Failure::new)?;
        output
            .confirm(&format!("Replace the sealing key of {database}? Earlier copies still need the current key."))?;
    }
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::new)?;
    let rotating = rotate(&settings.config, Clock::system(), Entropy::System);
    let rotated = runtime.block_on(rotating).map_err(Failure::new)?;
    if args.output == Format::Json {
        output.json(&json!({
            "key_file": rotated.key_file,
            "previous_key_file": rotated.previous_key_file,
            "values": rotated.values,
            "is_to_be_configured": rotated.is_to_be_configured,
            "is_seen": rotated.is_seen,
        }));
    } else {
        tell(&rotated, output);
    }
    if let Some(reason) = &rotated.not_renamed {
        let key = rotated.key_file.display();
        output.note(&format!("warning: {reason}; the server uses {key}; rename it to sealing.key"));
    }
    if !rotated.is_seen {
        output.note("warning: a server has not yet loaded the new key; check its log");
    }
    Ok(())
}

fn tell(rotated: &Rotated, output: &mut Output) {
    let key = rotated.key_file.display();
    match rotated.values {
        None => output.line("An earlier run has already sealed everything with the new key."),
        Some(values) => output.line(&format!("Sealed {values} values with the key in {key}.")),
    }
    if let Some(previous) = &rotated.previous_key_file {
        let previous = previous.display();
        output.line(&format!(
            "{previous} contains the previous key. Keep it as long as you keep earlier copies of the database."
        ));
    }
    if rotated.is_to_be_configured && rotated.not_renamed.is_none() {
        output.line(&format!(
            "At the next restart, set COUNTERSIGN_SEALING_KEY_FILE to {key} and unset \
             COUNTERSIGN_SEALING_KEY_NEXT_FILE."
        ));
    }
}
