//! `countersign completions`

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::args::Args;
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints a completion script for our commands and flags.
pub(crate) fn run(args: &Completions, output: &mut Output) {
    let mut script = Vec::new();
    generate(args.shell, &mut Args::command(), "countersign", &mut script);
    output.own_text(String::from_utf8_lossy(&script).trim_end());
}
