//! Output: results to stdout, everything else to stderr, and the exit code.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::process::ExitCode;

use serde_json::Value;

use crate::plain::{escape, escape_json};

/// The three streams of a command.
pub(crate) struct Output {
    stdin: Box<dyn BufRead + Send>,
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    /// The last error from printing the result.
    lost: Option<io::Error>,
    /// Whether stdin is a terminal, so that a person can be asked.
    can_ask: bool,
    /// The width of the terminal on stdout. `None` without a terminal: lines are not wrapped.
    width: Option<usize>,
}

/// Why a command failed: a one-line reason, and an exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The action failed.
    Failed(String),
    /// Invalid arguments.
    Usage(String),
    /// Someone else changed the object in the meantime.
    ChangedMeanwhile(String),
    /// The object does not exist.
    NotFound(String),
    /// Missing or wrong credentials.
    SignInNeeded(String),
    /// The credentials lack the required rights.
    Denied(String),
    /// The server is unreachable.
    Unreachable(String),
    /// Interrupted by a signal.
    Interrupted,
}

impl Failure {
    /// Returns a failure with this reason.
    pub(crate) fn new(reason: impl ToString) -> Self {
        Self::Failed(reason.to_string())
    }

    /// Returns a usage error with this reason.
    pub(crate) fn usage(reason: impl ToString) -> Self {
        Self::Usage(reason.to_string())
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) | Self::ChangedMeanwhile(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::SignInNeeded(_) => 4,
            Self::Denied(_) => 5,
            Self::Unreachable(_) => 6,
            Self::Interrupted => 130,
        })
    }

    /// Returns the reason, except for interruptions.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Failed(reason)
            | Self::ChangedMeanwhile(reason)
            | Self::Usage(reason)
            | Self::NotFound(reason)
            | Self::SignInNeeded(reason)
            | Self::Denied(reason)
            | Self::Unreachable(reason) => Some(reason),
            Self::Interrupted => None,
        }
    }
}

impl Output {
    /// Returns the process's streams.
    pub(crate) fn process() -> Self {
        let width = io::stdout().is_terminal().then(|| terminal_size::terminal_size_of(io::stdout())).flatten();
        Self {
            stdin: Box::new(BufReader::new(io::stdin())),
            stdout: Box::new(io::stdout()),
            stderr: Box::new(io::stderr()),
            lost: None,
            can_ask: io::stdin().is_terminal() && io::stderr().is_terminal(),
            width: width.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0),
        }
    }

    /// The maximum length of a line, if there is one.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Prints a line of the result, with terminal control characters escaped.
    pub(crate) fn line(&mut self, text: &str) {
        self.own_text(&escape(text));
    }

    /// Prints a result as JSON on one line.
    pub(crate) fn json(&mut self, thing: &Value) {
        self.own_text(&escape_json(&thing.to_string()));
    }

    /// Prints trusted text, such as help, unchanged.
    pub(crate) fn own_text(&mut self, text: &str) {
        if let Err(error) = writeln!(self.stdout, "{text}").and_then(|()| self.stdout.flush()) {
            self.lost = Some(error);
        }
    }

    /// Returns the error if a line could not be printed so far, for results that must not be lost.
    pub(crate) fn take_lost(&mut self) -> Option<io::Error> {
        self.lost.take()
    }

    /// Fails if a line of the result could not be printed. The action itself has succeeded. A closed pipe is not an error,
    /// because its reader needs no more output.
    pub(crate) fn check_printed(&mut self) -> Result<(), Failure> {
        match self.lost.take().filter(|error| error.kind() != io::ErrorKind::BrokenPipe) {
            Some(error) => {
                Err(Failure::new(format!("the command succeeded, but its result could not be printed: {error}")))
            }
            None => Ok(()),
        }
    }

    /// Prints a note to stderr.
    pub(crate) fn note(&mut self, text: &str) {
        let _ = writeln!(self.stderr, "{}", escape(text));
    }

    /// Prints the reason of a failure, if it has one.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        if let Some(reason) = failure.reason() {
            // Some libraries put line breaks into their messages.
            self.note(&format!("countersign: {}", reason.replace(['\n', '\r', '\t'], " ")));
        }
    }

    /// Asks for confirmation. Without a terminal, only `--yes` confirms.
    pub(crate) fn confirm(&mut self, question: &str) -> Result<(), Failure> {
        let question = escape(question);
        if !self.can_ask {
            return Err(Failure::usage(format!(
                "{question} Cannot ask for confirmation without a terminal; add --yes"
            )));
        }
        let _ = write!(self.stderr, "{question} [y/N] ").and_then(|()| self.stderr.flush());
        let mut answer = String::new();
        self.stdin.read_line(&mut answer).map_err(Failure::new)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::new("canceled; nothing was changed")),
        }
    }

    /// Reads stdin: one line after a prompt on a terminal, everything otherwise.
    pub(crate) fn read_stdin_line(&mut self, prompt: &str, most: u64) -> io::Result<Vec<u8>> {
        if !self.can_ask {
            return self.read_stdin(most);
        }
        let _ = write!(self.stderr, "{prompt}: ").and_then(|()| self.stderr.flush());
        let mut line = Vec::new();
        (&mut self.stdin).take(most).read_until(b'\n', &mut line)?;
        Ok(line)
    }

    /// Reads stdin to its end, up to this many bytes.
    pub(crate) fn read_stdin(&mut self, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&mut self.stdin).take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
