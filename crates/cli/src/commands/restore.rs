//! `countersign restore`

use std::path::PathBuf;

use countersign_server::clock::{Clock, Entropy};
use countersign_server::operations::backup::{CONFIGURATION, Engine, Manifest};
use countersign_server::operations::restore::{Plan, Restored, plan, read_manifest};
use countersign_server::{DatabaseUrl, OPERATOR_FILE, OperatorFile};
use serde_json::json;
use tokio::runtime::Builder;

use crate::args::{Format, PlaceArgs};
use crate::moment;
use crate::output::{Failure, Output};
use crate::settings::{self, Settings};

const DATABASE_FLAG: &str = "--database-url";

#[derive(Debug, clap::Args)]
#[command(mut_arg("database_url", |arg| arg.help(
    "The database to restore to: postgres://USER@HOST/NAME or sqlite:///absolute/path. It cannot be set in the \
     environment or a file. Put its password into the file that PGPASSFILE names [default: SQLite in the data directory]"
)))]
pub(crate) struct Restore {
    /// The backup directory
    dir: PathBuf,
    /// Rename the files in the data directory, appending .before-restore, instead of refusing
    #[arg(long)]
    replace: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    place: PlaceArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Restores a backup, and prints what was revoked.
pub(crate) fn run(args: &Restore, environment: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    let settings = settings::read(&args.place.settings(), environment).map_err(Failure::new)?;
    let manifest = read_manifest(&args.dir).map_err(Failure::new)?;
    check_named(args, &settings, &manifest)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::new)?;
    let planning = plan(&settings.config, &args.dir, manifest, args.replace);
    let plan = runtime.block_on(planning).map_err(Failure::new)?;
    if !args.yes {
        output.confirm(&question(&plan, &settings))?;
    }
    let restoring = plan.carry_out(Clock::system(), Entropy::System);
    let Restored { manifest, change, kept } = runtime.block_on(restoring).map_err(Failure::new)?;
    let directory = settings.config.data_dir.display().to_string();
    let kept: Vec<String> = kept.iter().map(|path| path.display().to_string()).collect();
    if args.output == Format::Json {
        let made_at = manifest.made_at;
        output.json(&json!({ "directory": directory, "made_at": made_at, "change": change, "kept": kept }));
        return Ok(());
    }
    let made = moment::show(manifest.made_at);
    output.line(&format!("{directory}: restored the backup of {made} UTC (change {change})."));
    output.line("Earlier access tokens, refresh tokens and sessions no longer work. All signing keys are new.");
    output.line("Client secrets and passwords are those of the backup.");
    for path in kept {
        output.line(&format!("Previous file: {path}"));
    }
    let file = args.dir.join(CONFIGURATION);
    output.line(&format!("The configuration from the backup is in {}.", file.display()));
    let operator = std::fs::read(settings.config.data_dir.join(OPERATOR_FILE)).ok();
    if let Some(operator) = operator.and_then(|text| serde_json::from_slice::<OperatorFile>(&text).ok()) {
        let issuer = operator.issuer;
        output.line(&format!(
            "Commands that use this directory contact {issuer}, until you start the server with another issuer."
        ));
    }
    Ok(())
}

/// Fails unless the command line itself names the database. A variable or file may name the production database,
/// which a restore drill must not overwrite.
fn check_named(args: &Restore, settings: &Settings, manifest: &Manifest) -> Result<(), Failure> {
    let origin = settings.origins.get("database.url").map(String::as_str);
    let why = match (origin, manifest.database) {
        (Some(DATABASE_FLAG), _) | (None, Engine::Sqlite) => return Ok(()),
        (Some(origin), _) => format!("restore ignores database.url from {origin}; pass {DATABASE_FLAG}"),
        (None, Engine::Postgres) => {
            format!("this backup is from PostgreSQL; pass the target database's URL with {DATABASE_FLAG}")
        }
    };
    let configured = settings.config.database().map_err(Failure::new)?;
    let named = match manifest.database {
        _ if Engine::of(&configured) == manifest.database => configured.without_password(),
        Engine::Sqlite => {
            format!("sqlite://{}", DatabaseUrl::sqlite_in(&settings.config.data_dir).map_err(Failure::new)?)
        }
        Engine::Postgres => "postgres://USER@HOST/NAME".to_owned(),
    };
    let mut command =
        format!("countersign restore {} --data-dir {}", args.dir.display(), settings.config.data_dir.display());
    if let Some(file) = &args.place.config {
        command.push_str(&format!(" --config {}", file.display()));
    }
    if args.replace {
        command.push_str(" --replace");
    }
    let purpose = match manifest.database {
        Engine::Sqlite => "To restore to this database, run",
        Engine::Postgres => {
            "For a drill, use a separate database. To restore to this one and revoke everything issued in it, put its \
             password into PGPASSFILE and run"
        }
    };
    Err(Failure::usage(format!("{why}. {purpose}: {command} {DATABASE_FLAG} '{named}'")))
}

fn question(plan: &Plan<'_>, settings: &Settings) -> String {
    let (made, directory) = (moment::show(plan.manifest.made_at), settings.config.data_dir.display());
    let newer = if plan.is_newer { " It has changed since the backup." } else { "" };
    format!(
        "Restore the backup of {made} UTC to {directory}, with the database {}?{newer} This revokes all its tokens, \
         sessions and signing keys.",
        plan.database
    )
}
