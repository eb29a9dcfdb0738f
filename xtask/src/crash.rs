//! Kills, power failures and full disks. The trials are tests of the binary, which run only a few rounds by default.

use std::process::Command;

use crate::postgres::Postgres;
use crate::run::status;
use crate::{Outcome, demo_server};

/// The default number of rounds per trial.
const ROUNDS: &str = "100";
const USAGE: &str = "usage: cargo xtask crash [--rounds N] [--seed N]";

/// Runs the trials on SQLite, and the kills on PostgreSQL too.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (mut rounds, mut seed) = (ROUNDS, None);
    for pair in arguments.chunks(2) {
        match pair {
            [name, value] if name == "--rounds" && is_number(value) => rounds = value,
            [name, value] if name == "--seed" && is_number(value) => seed = Some(value),
            _ => return Err(USAGE.to_owned()),
        }
    }
    demo_server::build()?;
    let play = |skipped: &[&str], postgres: Option<String>| {
        let mut command = Command::new("cargo");
        // One at a time, so that a round takes as long as it does alone.
        command.args([
            "test",
            "--workspace",
            "--test",
            "commands",
            "--",
            "crash::",
            "--nocapture",
            "--test-threads",
            "1",
        ]);
        command.args(skipped).env("COUNTERSIGN_CRASH_ROUNDS", rounds);
        command.envs(seed.map(|seed| ("COUNTERSIGN_CRASH_SEED", seed)));
        status(command.envs(postgres.map(|url| ("COUNTERSIGN_TEST_POSTGRES", url))))
    };
    play(&[], None)?;
    let postgres = Postgres::start()?;
    play(&["--skip", "_on_sqlite"], Some(postgres.url()))
}

fn is_number(text: &str) -> bool {
    text.parse::<u64>().is_ok()
}
