//! `cargo xtask bench`: measures the promised figures, and compares ours with a bare endpoint in one run.
//!
//! The server runs on core 0, the generator on core 1. Cost is the server's CPU time (user and system) per request.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints what it measured")]

mod bare;
mod connection;
mod cores;
mod load;
mod open_loop;
mod plan;
mod process;
mod request;
mod rows;
mod seed;
mod spread;
mod sqlite;
mod table;
mod timing;
mod watch;

use std::path::Path;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::plan::Plan;

/// The same allocator as `countersign`. With another one, the bare endpoints would not be comparable.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Any failure ends the whole run with one line.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["bare", address, algorithm, payload] => bare::run(address, algorithm, Path::new(payload)),
        ["commits", file, length_ms] => sqlite::run(Path::new(file), length_ms),
        _ => measure(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &[&str]) -> Outcome<()> {
    let plan = Plan::parse(arguments, postgres())?;
    if plan.needs_binary() {
        plan.build_binary()?;
    }
    raise_descriptor_limit()?;
    // Before the runtime, so that all its threads inherit it.
    cores::pin(&[cores::GENERATOR])?;
    countersign_store::install_drivers();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let table = runtime.block_on(rows::measure(&plan))?;
    println!("\n{}", table.to_text());
    if plan.is_whole() {
        table.write(&plan::root().join("bench/results.md"))?;
    }
    Ok(())
}

/// An empty PostgreSQL database, from `cargo xtask bench`.
#[expect(clippy::disallowed_methods, reason = "the bench is a separate program")]
fn postgres() -> Option<String> {
    std::env::var("COUNTERSIGN_BENCH_POSTGRES").ok()
}

/// Thousands of connections need as many file descriptors.
fn raise_descriptor_limit() -> Outcome<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
