//! `countersign migrate` of 10,000 clients and 100,000 refresh families, to another file and to PostgreSQL.

use std::path::Path;
use std::process::{Command, Stdio};

use countersign_protocol::jose::algorithm::Algorithm;

use crate::rows::Bench;
use crate::table::Row;
use crate::{Outcome, plan, seed, watch};

const CLIENTS: usize = 10_000;
const FAMILIES: usize = 100_000;
const MAX_S: f64 = 30.0;

pub(super) async fn measure(bench: &mut Bench<'_>) -> Outcome<()> {
    let directory = bench.seeded("migrate", &[Algorithm::EdDsa], CLIENTS).await?;
    seed::families(&directory, Algorithm::EdDsa, FAMILIES).await?;
    let file = bench.path("migrated.db");
    let mut places = vec![("another file of SQLite", format!("sqlite://{}", file.display()))];
    places.extend(bench.plan.postgres.iter().map(|url| ("PostgreSQL without fsync", url.clone())));
    for (place, url) in places {
        let took_s = migrate(&directory, &url)?;
        bench.table.add([Row {
            figure: format!("migrate of 10,000 clients and 100,000 refresh families to {place}, s"),
            ours: format!("{took_s:.1}"),
            target: Some((format!("under {MAX_S:.0} s"), took_s < MAX_S)),
            ..Row::default()
        }]);
    }
    Ok(())
}

/// The duration in seconds. `--force` ignores the mark of an earlier move.
fn migrate(directory: &Path, url: &str) -> Outcome<f64> {
    let mut command = Command::new(plan::binary()?);
    command
        .env_clear()
        .args(["migrate", "--yes", "--force", "--to", url, "--data-dir"])
        .arg(directory)
        .stdout(Stdio::null());
    let began = watch::now();
    let status = command.status()?;
    if status.success() { Ok(began.elapsed().as_secs_f64()) } else { Err(format!("migrate: {status}").into()) }
}
