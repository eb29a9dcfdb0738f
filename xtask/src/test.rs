//! All tests on both engines, the interoperability tests, and the browser tests.

use std::path::Path;
use std::process::Command;

use crate::postgres::Postgres;
use crate::run::{apt_install, cargo, is_ci, status};
use crate::{Outcome, fuzz, interop, walks};

/// The proxies, each a program in /usr/sbin and a Debian package.
const PROXIES: [&str; 3] = ["haproxy", "nginx", "pgbouncer"];

/// Runs everything. What cannot run is reported in one line, and fails in CI.
pub(crate) fn run() -> Outcome {
    cargo(&["test", "--workspace"])?;
    fuzz::run()?;
    match Postgres::start() {
        Ok(postgres) => on_postgres(&postgres, &settle_proxies()?)?,
        Err(reason) => skip("the tests on PostgreSQL", &reason)?,
    }
    match interop::prepare() {
        Ok(()) => interop::run()?,
        Err(reason) => skip("the interoperability tests", &reason)?,
    }
    match walks::prepare() {
        Ok(()) => walks::run(&[])?,
        Err(reason) => skip("the browser tests", &reason)?,
    }
    // Last, because it leaves a binary without pages where the others expect one with pages.
    cargo(&["test", "--package", "countersign-cli", "--no-default-features", "--test", "commands", "without_web::"])
}

/// The whole workspace again: a part of it would be built with other features, which takes longer than running it.
fn on_postgres(postgres: &Postgres, skipped: &[&str]) -> Outcome {
    let mut command = Command::new("cargo");
    command.args(["test", "--workspace", "--tests", "--", "--include-ignored"]);
    // Skips tests for SQLite files, tests that only run as a child process, and tests that need another version.
    command
        .args(["--skip", "_on_sqlite", "--skip", "the_child_asks", "--skip", "skew::"])
        .env("COUNTERSIGN_TEST_POSTGRES", postgres.url());
    command.args(skipped);
    status(&mut command)
}

/// Installs the proxies in front of nodes and PostgreSQL if they are missing. If that fails, returns the arguments that skip
/// their stories.
fn settle_proxies() -> Result<Vec<&'static str>, String> {
    let is_there = |program: &&str| Path::new("/usr/sbin").join(program).exists();
    let missing: Vec<&str> = PROXIES.into_iter().filter(|program| !is_there(program)).collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    match apt_install(&missing) {
        Ok(()) => Ok(Vec::new()),
        Err(reason) => skip("the tests behind proxies", &reason)
            .map(|()| vec!["--skip", "behind_haproxy_and_nginx", "--skip", "behind_pgbouncer"]),
    }
}

fn skip(what: &str, reason: &str) -> Outcome {
    if is_ci() {
        return Err(format!("{what}: {reason}"));
    }
    println!("SKIPPED {what}: {reason}");
    Ok(())
}
