//! `countersign`: the one binary. Only this file reads the process's arguments and environment.

mod args;
mod commands;
mod log_buffer;
mod logging;
mod output;
mod settings;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::args::{Args, Command};
use crate::output::{Failure, Output};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::disallowed_methods, reason = "only main reads the environment")]
fn main() -> ExitCode {
    countersign_server::install_drivers();
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .collect();
    let mut output = Output::process();
    let outcome = match Args::try_parse() {
        Ok(args) => run(args, &environment, &mut output),
        Err(error) => return usage(&error, &mut output),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.fail(&failure);
            failure.exit_code()
        }
    }
}

fn run(args: Args, environment: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    match args.command {
        Command::Serve(serve) => commands::serve::run(&serve, environment, output),
        Command::Config(config) => commands::config::run(&config, environment, output),
    }
}

/// Help goes to stdout and is no failure; anything else is a usage error, in one line on stderr.
fn usage(error: &clap::Error, output: &mut Output) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output.line(error.to_string().trim_end());
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let help = error.to_string();
            let usage = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or_default();
            let command: Vec<&str> = usage.split(' ').take_while(|word| !word.starts_with(['<', '['])).collect();
            output.fail(&Failure::new(format!("what is to be done? see `{} --help`", command.join(" "))));
            ExitCode::from(2)
        }
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            let tip = text.lines().find_map(|line| line.trim_start().strip_prefix("tip: "));
            let tip = tip.map(|tip| format!("; {tip}")).unwrap_or_default();
            output.fail(&Failure::new(format!("{line}{tip}; see --help")));
            ExitCode::from(2)
        }
    }
}
