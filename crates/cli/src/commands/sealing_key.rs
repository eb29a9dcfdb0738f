//! `countersign sealing-key`: what secrets are sealed with at rest

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
    /// Write a new sealing key into a private file
    #[command(after_help = "Example:\n  countersign sealing-key create /etc/countersign/sealing-key-2027")]
    Create {
        /// The file, which must not be there yet
        file: PathBuf,
    },
    /// Seal everything with another key; nothing that was issued ends
    #[command(after_help = "Examples:
  countersign sealing-key rotate --data-dir /var/lib/countersign
  COUNTERSIGN_SEALING_KEY_NEXT_FILE=/etc/countersign/sealing-key-2027 countersign sealing-key rotate --config /etc/countersign.toml")]
    Rotate(Rotate),
}

#[derive(Debug, clap::Args)]
struct Rotate {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    place: PlaceArgs,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Does it, and says what is to be done next.
pub(crate) fn run(args: &SealingKey, environment: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    let args = match &args.verb {
        Verb::Create { file } => {
            create(file, &Entropy::System).map_err(Failure::new)?;
            output.line(&format!(
                "{} holds a new sealing key. Keep a copy of it where the database is not.",
                file.display()
            ));
            return Ok(());
        }
        Verb::Rotate(rotate) => rotate,
    };
    let settings = settings::read(&args.place.settings(), environment).map_err(Failure::new)?;
    if !args.yes {
        let database = settings.config.database().map_err(Failure::new)?;
        output.confirm(&format!("Replace the sealing key of {database}? Backups from before need the present one."))?;
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
        output.note(&format!(
            "warning: {reason}; {key} is in use and serves all the same, until you put it in the place of sealing.key"
        ));
    }
    if !rotated.is_seen {
        output.note("warning: a server has not yet read the change; look at its log");
    }
    Ok(())
}

fn tell(rotated: &Rotated, output: &mut Output) {
    let key = rotated.key_file.display();
    match rotated.values {
        None => output.line("An earlier call had sealed everything with the new key already."),
        Some(values) => output.line(&format!("{values} values are sealed with the key in {key} now.")),
    }
    if let Some(previous) = &rotated.previous_key_file {
        let previous = previous.display();
        output.line(&format!(
            "{previous} is the key before it: keep it for as long as copies of the database from before."
        ));
    }
    if rotated.is_to_be_configured && rotated.not_renamed.is_none() {
        output.line(&format!(
            "Set COUNTERSIGN_SEALING_KEY_FILE to {key}, and unset COUNTERSIGN_SEALING_KEY_NEXT_FILE, at the next restart."
        ));
    }
}
