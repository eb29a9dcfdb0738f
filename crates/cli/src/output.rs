//! Where results and failures go: results to stdout, everything else to stderr, one exit decision.

use std::io::{self, Write};
use std::process::ExitCode;

/// The two streams of a command.
pub(crate) struct Output {
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
}

/// Why a command failed: one line, and the exit code that goes with it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not be done.
    Failed(String),
    /// A signal ended it before it was done.
    Interrupted,
}

impl Failure {
    /// A failure that says why.
    pub(crate) fn new(reason: impl ToString) -> Self {
        Self::Failed(reason.to_string())
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::FAILURE,
            Self::Interrupted => ExitCode::from(130),
        }
    }
}

impl Output {
    /// The process's own streams.
    pub(crate) fn process() -> Self {
        Self { stdout: Box::new(io::stdout()), stderr: Box::new(io::stderr()) }
    }

    /// Prints a line of the result. A reader who has gone away is no failure of ours.
    pub(crate) fn line(&mut self, text: &str) {
        let _ = writeln!(self.stdout, "{text}").and_then(|()| self.stdout.flush());
    }

    /// Prints the one line of a failure; who interrupted it knows.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        if let Failure::Failed(reason) = failure {
            let _ = writeln!(self.stderr, "countersign: {}", reason.replace('\n', " "));
        }
    }
}
