//! All development tasks: `cargo xtask tidy | docs | test | interop | walks [--figures] | fuzz | crash [--rounds N] | skew |
//! ci | bench [--quick]`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task prints what it does")]

mod ci;
mod crash;
mod demo_server;
mod docs;
mod fuzz;
mod interop;
mod node;
mod postgres;
mod run;
mod skew;
mod test;
mod tidy;
mod walks;

use std::process::{Command, ExitCode};

use crate::postgres::Postgres;

/// The result of a task: nothing, or why it failed.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some("tidy") => tidy::run(),
        Some("docs") => docs::run(),
        Some("test") => test::run(),
        Some("interop") => interop::prepare().and_then(|()| interop::run()),
        Some("walks") => walks::prepare().and_then(|()| walks::run(&arguments[1..])),
        Some("fuzz") => fuzz::run(),
        Some("crash") => crash::run(&arguments[1..]),
        Some("skew") => skew::run(),
        Some("ci") => ci::run(),
        Some("bench") => bench(&arguments[1..]),
        _ => {
            Err("usage: cargo xtask tidy | docs | test | interop | walks | fuzz | crash | skew | ci | bench".to_owned())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Measures, and writes `bench/results.md`. The bench parses the arguments.
fn bench(arguments: &[String]) -> Outcome {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--release", "--package", "countersign-bench", "--"]).args(arguments);
    let are_sections = arguments.iter().any(|argument| !argument.starts_with("--"));
    let needs_postgres = |argument: &String| argument == "migrate" || argument == "scale";
    let postgres = if !are_sections || arguments.iter().any(needs_postgres) { Some(Postgres::start()?) } else { None };
    let url = postgres.as_ref().map(|postgres| postgres.url().replace(":///?", ":///postgres?"));
    run::status(cargo.envs(url.map(|url| ("COUNTERSIGN_BENCH_POSTGRES", url))))
}
