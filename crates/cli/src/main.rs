//! `countersign`, the only binary. Only this file reads the process's arguments and environment.

mod args;
mod commands;
mod env_file;
mod hardening;
mod log_buffer;
mod logging;
mod moment;
mod output;
mod pages;
mod plain;
mod reload;
mod remote;
mod settings;
mod signals;
mod table;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::args::{Args, Command};
use crate::commands::administration;
use crate::output::{Failure, Output};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::disallowed_methods, reason = "only main reads the environment")]
fn main() -> ExitCode {
    let protected = hardening::protect_process();
    countersign_server::install_drivers();
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .collect();
    let mut output = Output::process();
    if let Err(error) = protected {
        output
            .note(&format!("warning: other processes of this user may be able to read this process's memory: {error}"));
    }
    let outcome = match Args::try_parse() {
        Ok(args) => run(args, &environment, &mut output),
        Err(error) => return usage(&error, &mut output),
    };
    match outcome.and_then(|()| output.check_printed()) {
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
        Command::Backup(backup) => commands::backup::run(&backup, environment, output),
        Command::Migrate(migrate) => commands::migrate::run(&migrate, environment, output),
        Command::SealingKey(sealing_key) => commands::sealing_key::run(&sealing_key, environment, output),
        Command::Restore(restore) => commands::restore::run(&restore, environment, output),
        Command::Doctor(doctor) => commands::doctor::run(&doctor, environment, output),
        Command::Config(config) => commands::config::run(&config, environment, output),
        Command::Completions(completions) => {
            commands::completions::run(&completions, output);
            Ok(())
        }
        Command::Api(api) => administration::run(api, environment, output),
        Command::Scope(scope) => administration::run(scope, environment, output),
        Command::Client(client) => administration::run(client, environment, output),
        Command::Secret(secret) => administration::run(secret, environment, output),
        Command::Token(token) => administration::run(token, environment, output),
        Command::Key(key) => administration::run(key, environment, output),
        Command::User(user) => administration::run(user, environment, output),
        Command::Audit(audit) => administration::run(audit, environment, output),
        Command::Explain(explain) => administration::run_alone(explain, environment, output),
        Command::Refusal(refusal) => administration::run(refusal, environment, output),
        Command::Usage(usage) => administration::run(usage, environment, output),
    }
}

/// Prints help to stdout, or a usage error as one line to stderr.
fn usage(error: &clap::Error, output: &mut Output) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output.own_text(error.to_string().trim_end());
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let help = error.to_string();
            let usage = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or_default();
            let command: Vec<&str> = usage.split(' ').take_while(|word| !word.starts_with(['<', '['])).collect();
            output.fail(&Failure::new(format!("missing subcommand; see `{} --help`", command.join(" "))));
            ExitCode::from(2)
        }
        _ => {
            // clap lists missing or possible arguments on lines before the first empty one.
            let text = error.to_string();
            let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let line = lines.join(" ");
            let tip = text.lines().find_map(|line| line.trim_start().strip_prefix("tip: "));
            let tip = tip.map(|tip| format!("; {tip}")).unwrap_or_default();
            output.fail(&Failure::new(format!("{}{tip}; see --help", line.trim_start_matches("error: "))));
            ExitCode::from(2)
        }
    }
}
