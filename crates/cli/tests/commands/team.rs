//! A team that uses the command line: a server, and the real binary with the operator's credentials.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use countersign_testkit::{Actor, TestDatabase};
use serde_json::Value;

use crate::process::{Serving, countersign, read};

/// A running server, and the location of its operator's credentials.
pub(crate) struct Team {
    pub(crate) serving: Serving,
    pub(crate) database: TestDatabase,
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Team {
    pub(crate) async fn start() -> Self {
        let database = TestDatabase::fresh();
        let serving = Serving::start(&database, &[], &[]);
        serving.ready().await;
        Self { serving, database }
    }

    /// A file next to the data directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.database.directory.path().join(name)
    }

    /// Runs a command as the operator.
    pub(crate) fn run(&self, line: &str) -> Done {
        self.run_with(line, &[], "")
    }

    /// The same with more variables and stdin.
    pub(crate) fn run_with(&self, line: &str, environment: &[(&str, &str)], stdin: &str) -> Done {
        let data = self.file("data").display().to_string();
        run(line, &[&[("COUNTERSIGN_DATA_DIR", data.as_str())], environment].concat(), stdin)
    }

    /// Runs a command that must succeed, and returns its output.
    pub(crate) fn ok(&self, line: &str) -> String {
        let done = self.run(line);
        assert_eq!(done.code, Some(0), "{line}: {done:?}");
        done.stdout
    }

    /// The same as JSON.
    pub(crate) fn json(&self, line: &str) -> Value {
        let text = self.ok(&format!("{line} --output json"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    }

    /// Runs a command that must fail with this exit code and without a result. Returns its error.
    pub(crate) fn fail(&self, code: i32, line: &str) -> String {
        self.run(line).failed(line, code)
    }

    /// Creates a client with this command.
    pub(crate) fn create_client(&self, id: &str) -> Actor {
        let made = self.json(&format!("client create {id}"));
        self.serving.actor(id, made["client_secret"].as_str().unwrap())
    }

    /// Creates an API with two scopes, and a client that may request one of them.
    pub(crate) fn create_billing(&self) -> Actor {
        self.ok("api create billing --audience https://billing.example --lifetime 15m");
        self.ok("scope create billing invoices:read --rule \"GET /invoices(/.*)?\" --description \"Read invoices\"");
        self.ok("scope create billing invoices:write --rule \"POST,PUT /invoices(/.*)?\"");
        let job = self.create_client("nightly-job");
        self.ok("client allow nightly-job billing --scope invoices:read --grant client_credentials");
        job
    }

    /// The operator's own secret.
    pub(crate) fn operator_secret(&self) -> String {
        let file: Value = serde_json::from_str(&read(&self.file("data/operator.json"))).unwrap();
        file["client_secret"].as_str().unwrap().to_owned()
    }
}

impl Done {
    /// Returns the single line on stderr. Stdout must be empty.
    pub(crate) fn failed(self, line: &str, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{line}: {self:?}");
        assert!(self.stdout.is_empty(), "{line}: {self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{line}: {self:?}");
        self.stderr.trim_end().to_owned()
    }
}

/// Runs a command whose words are separated by spaces, except within double quotes.
pub(crate) fn run(line: &str, environment: &[(&str, &str)], stdin: &str) -> Done {
    let words = words(line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut child = countersign(&words).envs(environment.iter().copied()).stdin(Stdio::piped()).spawn().unwrap();
    // A command that fails immediately does not read stdin.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The status of a token request by this client for this scope.
pub(crate) async fn status(client: &Actor, scope: &str) -> u16 {
    client.token(&[("grant_type", "client_credentials"), ("scope", scope)]).await.status
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}
