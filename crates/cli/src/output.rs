//! Where results and failures go: results to stdout, everything else to stderr, one exit decision.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::process::ExitCode;

use serde_json::Value;

use crate::plain::{escape, escape_json};

/// The three streams of a command.
pub(crate) struct Output {
    stdin: Box<dyn BufRead + Send>,
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    /// Why a line of the result could not be printed, if one could not.
    lost: Option<io::Error>,
    /// Whether somebody is there who can be asked.
    can_ask: bool,
    /// Characters of a line of the terminal that stdout is; without one, lines are as long as they are.
    width: Option<usize>,
}

/// Why a command failed: one line, and the exit code that goes with it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not be done.
    Failed(String),
    /// What was typed means nothing.
    Usage(String),
    /// It was changed by somebody else meanwhile.
    ChangedMeanwhile(String),
    /// There is no such thing.
    NotFound(String),
    /// Nobody says who asks, or the server does not believe it.
    SignInNeeded(String),
    /// Who asks may not.
    Denied(String),
    /// The server does not answer.
    Unreachable(String),
    /// A signal ended it before it was done.
    Interrupted,
}

impl Failure {
    /// A failure that says why.
    pub(crate) fn new(reason: impl ToString) -> Self {
        Self::Failed(reason.to_string())
    }

    /// What was typed is wrong in this way.
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

    /// Why, in one line; who interrupted it knows.
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
    /// The process's own streams.
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

    /// Characters of a line, if there is a bound.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Prints a line of the result, in which nothing is obeyed by a terminal.
    pub(crate) fn line(&mut self, text: &str) {
        self.own_text(&escape(text));
    }

    /// Prints a result for programs, in one line.
    pub(crate) fn json(&mut self, thing: &Value) {
        self.own_text(&escape_json(&thing.to_string()));
    }

    /// Prints text that is ours alone, such as help, as it is. A reader who has gone away is no failure of ours.
    pub(crate) fn own_text(&mut self, text: &str) {
        match writeln!(self.stdout, "{text}").and_then(|()| self.stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => self.lost = Some(error),
            _ => {}
        }
    }

    /// Err if a line of the result could not be printed: what was done stays done, but nobody knows the result.
    pub(crate) fn check_printed(&mut self) -> Result<(), Failure> {
        match self.lost.take() {
            Some(error) => Err(Failure::new(format!("it is done, but the result could not be printed: {error}"))),
            None => Ok(()),
        }
    }

    /// Prints a line that is no part of the result.
    pub(crate) fn note(&mut self, text: &str) {
        let _ = writeln!(self.stderr, "{}", escape(text));
    }

    /// Prints the one line of a failure, if it has one.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        if let Some(reason) = failure.reason() {
            // Some libraries break their messages into lines.
            self.note(&format!("countersign: {}", reason.replace(['\n', '\r', '\t'], " ")));
        }
    }

    /// Asks before something is done that cannot be undone. Where nobody can be asked, only `--yes` is an answer.
    pub(crate) fn confirm(&mut self, question: &str) -> Result<(), Failure> {
        let question = escape(question);
        if !self.can_ask {
            return Err(Failure::usage(format!("{question} There is no terminal to ask on: add --yes")));
        }
        let _ = write!(self.stderr, "{question} [y/N] ").and_then(|()| self.stderr.flush());
        let mut answer = String::new();
        self.stdin.read_line(&mut answer).map_err(Failure::new)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::new("nothing was done")),
        }
    }

    /// Reads stdin: on a terminal the one line that is typed after the prompt, elsewhere everything.
    pub(crate) fn read_stdin_line(&mut self, prompt: &str, most: u64) -> io::Result<Vec<u8>> {
        if !self.can_ask {
            return self.read_stdin(most);
        }
        let _ = write!(self.stderr, "{prompt}: ").and_then(|()| self.stderr.flush());
        let mut line = Vec::new();
        (&mut self.stdin).take(most).read_until(b'\n', &mut line)?;
        Ok(line)
    }

    /// Reads stdin to its end, which must come before this many bytes.
    pub(crate) fn read_stdin(&mut self, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&mut self.stdin).take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
