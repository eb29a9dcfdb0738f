//! `countersign backup`

use std::path::PathBuf;

use countersign_server::clock::Clock;
use countersign_server::operations::backup::{self, CONFIGURATION, Engine};
use serde_json::json;
use tokio::runtime::Builder;
use toml::Table;

use crate::args::{Format, PlaceArgs};
use crate::moment;
use crate::output::{Failure, Output};
use crate::settings::{self, Settings, find};

#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    /// The directory for the backup. It must be empty or not exist
    dir: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Writes a backup, and prints what it does not contain.
pub(crate) fn run(args: &Backup, environment: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    let settings = settings::read(&args.place.settings(), environment).map_err(Failure::new)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::new)?;
    let configuration = write_configuration(&settings)?;
    let making = backup::make(&settings.config, &args.dir, &configuration, Clock::system().now());
    let manifest = runtime.block_on(making).map_err(Failure::new)?;
    let directory = args.dir.display().to_string();
    if args.output == Format::Json {
        let mut thing = json!(manifest);
        thing["directory"] = directory.into();
        output.json(&thing);
        return Ok(());
    }
    let made = moment::show(manifest.made_at);
    output.line(&format!("{directory}: backup made {made} UTC (change {}).", manifest.change));
    output
        .line("The backup contains the sealing key. Protect it like the data directory, and keep it on another disk.");
    if manifest.database == Engine::Postgres {
        let database = settings.config.database().map_err(Failure::new)?.without_password();
        output.line("The backup does not contain the database. Copy it with PostgreSQL's tools:");
        output.line(&format!("  pg_dump --format=custom --file={directory}/database.dump '{database}'"));
    }
    Ok(())
}

/// Returns every key that is set, as a configuration file.
fn write_configuration(settings: &Settings) -> Result<String, Failure> {
    let all = Table::try_from(&settings.config).map_err(Failure::new)?;
    let mut set = Table::new();
    for key in settings.origins.keys() {
        let Some(value) = find(&all, key).cloned() else { continue };
        match key.split_once('.') {
            None => drop(set.insert(key.clone(), value)),
            Some((section, inner)) => {
                let section = set.entry(section).or_insert_with(|| Table::new().into());
                section.as_table_mut().map(|section| section.insert(inner.to_owned(), value));
            }
        }
    }
    Ok(format!("# {CONFIGURATION}: the server's configuration, as `countersign backup` read it.\n{set}"))
}
