//! What all administrative commands share: flags, credentials and output.

use std::io;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use countersign_client::Secret;
use countersign_protocol::UnixTime;
use countersign_server::clock::Clock;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use zeroize::Zeroizing;

use crate::args::Format;
use crate::output::{Failure, Output};
use crate::remote::{Call, Identity, Remote};
use crate::settings;
use crate::table::{Column, details, table};

/// The environment variable for `--ca-file`.
const CA_FILE: &str = "COUNTERSIGN_CA_FILE";
/// The maximum size of a file with a secret or token. A larger file is a mistake.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// The help for an API's ID.
pub(crate) const API_HELP: &str = "The API's ID";
/// The help for a client's ID.
pub(crate) const CLIENT_HELP: &str = "The client's ID";
/// The help for a user.
pub(crate) const USER_HELP: &str = "The user's login name or ID";

/// The arguments of a command with subcommands.
#[derive(Debug, clap::Args)]
pub(crate) struct Administration<V: Subcommand> {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    verb: V,
}

/// The arguments of a command without subcommands.
#[derive(Debug, clap::Args)]
pub(crate) struct Alone<V: clap::Args> {
    #[command(flatten)]
    verb: V,
    #[command(flatten)]
    flags: Flags,
}

/// The flags of every administrative command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of all administrative commands")]
struct Flags {
    /// Output format
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Print only IDs, one per line
    #[arg(long, global = true)]
    quiet: bool,
    /// Do not ask for confirmation
    #[arg(long, global = true)]
    yes: bool,
    /// Authenticate as the operator of the server with this data directory [default: ./countersign-data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Read the data directory from the server's configuration file
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For https, trust only the certificate authorities in this PEM file
    #[arg(long, global = true, value_name = "PEM")]
    ca_file: Option<PathBuf>,
}

/// A subcommand.
pub(crate) trait Verb {
    /// Returns the question to ask before an action that cannot be undone.
    fn question(&self) -> Option<String>;

    /// Performs the subcommand. Checks its arguments before the first call to the server.
    async fn perform(self, session: &mut Session<'_>) -> Result<(), Failure>;
}

/// Runs a subcommand as the client in the environment, or as the operator of the data directory.
pub(crate) fn run<V: Verb + Subcommand>(
    administration: Administration<V>,
    environment: &[(String, String)],
    output: &mut Output,
) -> Result<(), Failure> {
    let Administration { flags, verb } = administration;
    run_verb(&flags, verb, environment, output)
}

/// Runs a command without subcommands.
pub(crate) fn run_alone<V: Verb + clap::Args>(
    command: Alone<V>,
    environment: &[(String, String)],
    output: &mut Output,
) -> Result<(), Failure> {
    let Alone { flags, verb } = command;
    run_verb(&flags, verb, environment, output)
}

fn run_verb(
    flags: &Flags,
    verb: impl Verb,
    environment: &[(String, String)],
    output: &mut Output,
) -> Result<(), Failure> {
    if let Some(question) = verb.question().filter(|_| !flags.yes) {
        output.confirm(&question)?;
    }
    let remote = Remote::new(
        find_identity(flags, environment, output)?,
        read_authorities(flags.ca_file.as_deref(), environment)?.as_deref(),
    )?;
    let (format, quiet) = (flags.output, flags.quiet);
    let now = Clock::system().now();
    let mut session = Session { remote, now, output, format, quiet, is_confirmed: flags.yes };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::new)?;
    runtime.block_on(verb.perform(&mut session))
}

fn find_identity(flags: &Flags, environment: &[(String, String)], output: &mut Output) -> Result<Identity, Failure> {
    if let Some(identity) = Identity::from_environment(environment)? {
        return Ok(identity);
    }
    let directory = settings::find_directory(flags.config.as_deref(), flags.data_dir.as_deref(), environment);
    let directory = directory.map_err(Failure::new)?;
    for exposure in Identity::check_directory(&directory)? {
        output.note(&format!("warning: {exposure}"));
    }
    Identity::from_directory(&directory)
}

/// Returns the certificate authorities from the file in the flag or the environment, if there is one.
pub(crate) fn read_authorities(
    flag: Option<&Path>,
    environment: &[(String, String)],
) -> Result<Option<Vec<u8>>, Failure> {
    let variable = || environment.iter().find(|(name, value)| name == CA_FILE && !value.is_empty());
    let path = flag.map(Path::to_owned).or_else(|| variable().map(|(_, path)| path.into()));
    let read = |path: PathBuf| {
        std::fs::read(&path).map_err(|error| Failure::usage(format!("--ca-file: {}: {error}", path.display())))
    };
    path.map(read).transpose()
}

/// A running command: the server, and how to print results.
pub(crate) struct Session<'o> {
    pub(crate) remote: Remote,
    pub(crate) now: UnixTime,
    output: &'o mut Output,
    format: Format,
    quiet: bool,
    /// Whether `--yes` was given.
    is_confirmed: bool,
}

impl Session<'_> {
    /// Prints an object. `--quiet` prints its member `id`.
    pub(crate) fn show(&mut self, id: &str, thing: &Value) {
        match (self.quiet, self.format) {
            (true, _) => self.output.line(&text_of(&thing[id])),
            (_, Format::Json) => self.output.json(thing),
            (_, Format::Table) => {
                details(thing, self.now, self.output.width()).iter().for_each(|line| self.output.line(line))
            }
        }
    }

    /// Prints an object. The table output shows what `in_words` returns instead.
    pub(crate) fn show_in_words(&mut self, id: &str, thing: &Value, words: impl FnOnce(&Value) -> Value) {
        match (self.quiet, self.format) {
            (false, Format::Table) => self.show(id, &words(thing)),
            _ => self.show(id, thing),
        }
    }

    /// Prints a list of objects.
    pub(crate) fn list(&mut self, id: &str, columns: &[Column], things: &[Value]) {
        match (self.quiet, self.format) {
            (true, _) => {
                for thing in things {
                    self.output.line(&text_of(&thing[id]));
                }
            }
            (_, Format::Json) => self.output.json(&json!(things)),
            (_, Format::Table) if things.is_empty() => self.output.note("No entries."),
            (_, Format::Table) => {
                let lines = table(columns, things, self.now, self.output.width());
                lines.iter().for_each(|line| self.output.line(line));
            }
        }
    }

    /// Makes a call without a result, and prints `ID is WHAT.`
    pub(crate) async fn finish(&mut self, call: Call, what: &str, id: &str) -> Result<(), Failure> {
        self.finish_saying(call, what, id, &format!("{id} is {what}.")).await
    }

    /// Makes a call without a result, and prints the sentence.
    pub(crate) async fn finish_saying(
        &mut self,
        call: Call,
        what: &str,
        id: &str,
        sentence: &str,
    ) -> Result<(), Failure> {
        self.remote.ask(call).await?;
        self.say(what, id, sentence);
        Ok(())
    }

    /// Prints that an action succeeded whose object no longer exists.
    pub(crate) fn say(&mut self, what: &str, id: &str, sentence: &str) {
        match (self.quiet, self.format) {
            (true, _) => self.output.line(id),
            (_, Format::Json) => self.output.json(&json!({ what: id })),
            (_, Format::Table) => self.output.line(sentence),
        }
    }

    /// Prints a result of one line, or the whole object as JSON.
    pub(crate) fn word(&mut self, word: &str, thing: &Value) {
        match self.format {
            Format::Json if !self.quiet => self.output.json(thing),
            _ => self.output.line(word),
        }
    }

    /// Prints a result of several lines, or the whole object as JSON.
    pub(crate) fn lines(&mut self, text: &str, thing: &Value) {
        match self.format {
            Format::Json if !self.quiet => self.output.json(thing),
            _ => text.lines().for_each(|line| self.output.line(line)),
        }
    }

    /// Prints a result as JSON only. In table output, an error message replaces it.
    pub(crate) fn only_json(&mut self, thing: &Value) {
        if self.format == Format::Json && !self.quiet {
            self.output.json(thing);
        }
    }

    /// Returns the error if a line of the result could not be printed.
    pub(crate) fn take_lost(&mut self) -> Option<io::Error> {
        self.output.take_lost()
    }

    /// Asks before something is taken away whose extent only the server knows.
    pub(crate) fn confirm(&mut self, question: &str) -> Result<(), Failure> {
        if self.is_confirmed { Ok(()) } else { self.output.confirm(question) }
    }

    /// Prints a note to stderr.
    pub(crate) fn note(&mut self, text: &str) {
        self.output.note(text);
    }

    /// Fails if `--quiet` would hide a new secret.
    pub(crate) fn check_is_seen(&self, otherwise: &str) -> Result<(), Failure> {
        if self.quiet {
            return Err(Failure::usage(format!("--quiet would hide the new secret; {otherwise}")));
        }
        Ok(())
    }

    /// Reads a token from a single line of stdin and trims it. A token that is split over several lines is an
    /// error: its first part would look like an unknown token.
    pub(crate) fn read_token(&mut self, name: &str) -> Result<Secret, Failure> {
        let failed = |what: &str| Failure::usage(format!("{name}: stdin {what}"));
        let line = self.output.read_stdin_line(name, MAX_SECRET_BYTES).map_err(|error| failed(&error.to_string()))?;
        let text = Zeroizing::new(String::from_utf8(line).map_err(|_| failed("must be UTF-8"))?);
        match text.trim() {
            "" => Err(failed("is empty")),
            word if word.contains(char::is_whitespace) => Err(failed("must contain one token on one line")),
            word => Ok(Secret::new(word)),
        }
    }

    /// Reads a secret from a file, or from stdin if the path is `-`, without the final line break.
    pub(crate) fn read_secret(&mut self, flag: &str, path: &Path) -> Result<Secret, Failure> {
        let read = if path == Path::new("-") { self.output.read_stdin(MAX_SECRET_BYTES) } else { read_file(path) };
        let failed = |what: &dyn std::fmt::Display| Failure::usage(format!("{flag}: {}: {what}", path.display()));
        let text = String::from_utf8(read.map_err(|error| failed(&error))?).map_err(|_| failed(&"must be UTF-8"))?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(failed(&"is empty"));
        }
        Ok(Secret::new(text))
    }
}

/// Returns a string as it is, and anything else as JSON.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_SECRET_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}
