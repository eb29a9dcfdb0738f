//! Every test, on both engines, the unrelated clients, and the walks through the pages.

use std::process::Command;

use crate::postgres::Postgres;
use crate::run::{cargo, is_ci, status};
use crate::{Outcome, fuzz, interop, walks};

/// Runs all; what cannot run here is said in one line, and in CI is a failure.
pub(crate) fn run() -> Outcome {
    cargo(&["test", "--workspace"])?;
    fuzz::run()?;
    match Postgres::start() {
        Ok(postgres) => on_postgres(&postgres)?,
        Err(reason) => skip("the tests on PostgreSQL", &reason)?,
    }
    match interop::prepare() {
        Ok(()) => interop::run()?,
        Err(reason) => skip("the unrelated clients", &reason)?,
    }
    match walks::prepare() {
        Ok(()) => walks::run(&[]),
        Err(reason) => skip("the walks through the pages", &reason),
    }
}

/// The whole workspace again: a part of it would be built with other features, which takes longer than to run it.
fn on_postgres(postgres: &Postgres) -> Outcome {
    let mut command = Command::new("cargo");
    command.args(["test", "--workspace", "--tests", "--", "--include-ignored"]);
    // What is about files of SQLite, and what is a test only as the child process of another.
    command.args(["--skip", "_on_sqlite", "--skip", "the_child_asks"]).env("COUNTERSIGN_TEST_POSTGRES", postgres.url());
    status(&mut command)
}

fn skip(what: &str, reason: &str) -> Outcome {
    if is_ci() {
        return Err(format!("{what}: {reason}"));
    }
    println!("SKIPPED {what}: {reason}");
    Ok(())
}
