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
    /// The other database, which must be new: postgres://… or sqlite:///absolute/path
    #[arg(long, value_name = "URL", group = "other")]
    to: Option<String>,
    /// A file that holds it, so that its password is in no process list
    #[arg(long, value_name = "FILE", group = "other")]
    to_file: Option<PathBuf>,
    /// Copy a database that was copied before: what was issued or revoked in the copy since then is not in this one
    #[arg(long)]
    force: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    place: PlaceArgs,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Copies the database, and says what is to be done next.
pub(crate) fn run(args: &Migrate, environment: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    let settings = settings::read(&args.place.settings(), environment).map_err(Failure::new)?;
    let text = match (&args.to, &args.to_file) {
        (Some(url), _) => url.clone(),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?
            .trim()
            .to_owned(),
        (None, None) => return Err(Failure::usage("--to names the other database".to_owned())),
    };
    let to =
        DatabaseUrl::parse(&text).map_err(|error| Failure::usage(error.to_string().replace("database.url", "--to")))?;
    let from = settings.config.database().map_err(Failure::new)?;
    if !args.yes {
        output.confirm(&format!("Copy {from} into {to}? Afterwards no server serves the first."))?;
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
    output.line(&format!("{rows} rows are in {to}, each compared. Set database.url to it, and start there."));
    output.line(&format!("{from} is marked: `serve` refuses it, unless it is told --force."));
    Ok(())
}
