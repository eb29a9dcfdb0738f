//! Every test, on both engines, and the unrelated clients.

use std::process::Command;

use crate::postgres::Postgres;
use crate::run::{cargo, is_ci, status};
use crate::{Outcome, interop};

/// The crates whose tests touch a database.
const ON_BOTH_ENGINES: [&str; 3] = ["countersign-store", "countersign-server", "countersign-cli"];

/// Runs all; what cannot run here is said in one line, and in CI is a failure.
pub(crate) fn run() -> Outcome {
    cargo(&["test", "--workspace"])?;
    match Postgres::start() {
        Ok(postgres) => on_postgres(&postgres)?,
        Err(reason) => skip("the tests on PostgreSQL", &reason)?,
    }
    match interop::prepare() {
        Ok(()) => interop::run(),
        Err(reason) => skip("the unrelated clients", &reason),
    }
}

fn on_postgres(postgres: &Postgres) -> Outcome {
    let mut command = Command::new("cargo");
    command.args(["test", "--tests"]).env("COUNTERSIGN_TEST_POSTGRES", postgres.url());
    for package in ON_BOTH_ENGINES {
        command.args(["--package", package]);
    }
    status(&mut command)
}

fn skip(what: &str, reason: &str) -> Outcome {
    if is_ci() {
        return Err(format!("{what}: {reason}"));
    }
    println!("SKIPPED {what}: {reason}");
    Ok(())
}
