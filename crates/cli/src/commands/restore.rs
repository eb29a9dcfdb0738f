//! `countersign restore`

use std::path::PathBuf;

use countersign_server::backup::CONFIGURATION;
use countersign_server::clock::{Clock, Entropy};
use countersign_server::restore::{Restored, restore};
use serde_json::json;
use tokio::runtime::Builder;

use crate::args::{Format, PlaceArgs};
use crate::moment;
use crate::output::{Failure, Output};
use crate::settings;

#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// The backup
    dir: PathBuf,
    /// Keep what is in the data directory beside, under its name and .before-restore
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    place: PlaceArgs,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Restores a backup, and says what ended by it.
pub(crate) fn run(args: &Restore, environment: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    let settings = settings::read(&args.place.settings(), environment).map_err(Failure::new)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::new)?;
    let restoring = restore(&settings.config, &args.dir, args.replace, Clock::system(), Entropy::System);
    let Restored { manifest, change, kept } = runtime.block_on(restoring).map_err(Failure::new)?;
    let directory = settings.config.data_dir.display().to_string();
    let kept: Vec<String> = kept.iter().map(|path| path.display().to_string()).collect();
    if args.output == Format::Json {
        let made_at = manifest.made_at;
        output.json(&json!({ "directory": directory, "made_at": made_at, "change": change, "kept": kept }));
        return Ok(());
    }
    let made = moment::show(manifest.made_at);
    output.line(&format!("{directory}: restored as of {made} UTC (change {change})."));
    output
        .line("Every token, refresh token and session that was issued before this restore is dead, and every signing");
    output.line("key is new. Client secrets and passwords are those of the backup.");
    for path in kept {
        output.line(&format!("Kept: {path}"));
    }
    let file = args.dir.join(CONFIGURATION);
    output.line(&format!("The configuration that was backed up is {}.", file.display()));
    Ok(())
}
