//! `countersign migrate`

use std::path::PathBuf;

use countersign_server::DatabaseUrl;
use countersign_server::operations::transfer::transfer;
use serde_json::json;
use tokio::runtime::Builder;

use crate::args::{Format, PlaceArgs};
use crate::output::{Failure, Output};
use crate::settings;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("other").required(true))]
pub(crate) struct Migrate {
    /// The target database, which must be empty: postgres://… or sqlite:///absolute/path
    #[arg(long, value_name = "URL", group = "other")]
    to: Option<String>,
    /// A file that contains the target URL, to keep its password out of the process list
    #[arg(long, value_name = "FILE", group = "other")]
    to_file: Option<PathBuf>,
    /// Copy a database that was already copied. Tokens issued or revoked in the earlier copy are not in this one
    #[arg(long)]
    force: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    place: PlaceArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Copies the database, and prints the next step.
pub(crate) fn run(args: &Migrate, environment: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    let settings = settings::read(&args.place.settings(), environment).map_err(Failure::new)?;
    let text = match (&args.to, &args.to_file) {
        (Some(url), _) => url.clone(),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?
            .trim()
            .to_owned(),
        (None, None) => return Err(Failure::usage("missing target database; pass --to or --to-file".to_owned())),
    };
    let to =
        DatabaseUrl::parse(&text).map_err(|error| Failure::usage(error.to_string().replace("database.url", "--to")))?;
    let from = settings.config.database().map_err(Failure::new)?;
    if !args.yes {
        output.confirm(&format!("Copy {from} to {to}? Afterwards, `serve` refuses to use the original."))?;
    }
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::new)?;
    let tables = runtime.block_on(transfer(&settings.config, &to, args.force)).map_err(Failure::new)?;
    let rows: u64 = tables.iter().map(|one| one.rows).sum();
    if args.output == Format::Json {
        let shown = tables
            .iter()
            .map(|one| json!({ "table": one.table, "rows": one.rows, "sha256_sum": one.hash.to_string() }));
        output.json(&json!({ "from": from.to_string(), "to": to.to_string(), "tables": shown.collect::<Vec<_>>() }));
        return Ok(());
    }
    for one in tables.iter().filter(|one| one.rows > 0) {
        output.line(&format!("{:>9}  {}", one.rows, one.table));
    }
    output.line(&format!("Copied and compared {rows} rows. Set database.url to {to}, then start the server."));
    output.line(&format!("`serve` now refuses to use {from}, unless you add --force."));
    Ok(())
}
