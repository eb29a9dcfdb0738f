//! Runs the real binary, and stops it by its own process ID.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use countersign_testkit::{Actor, CertificateFiles, TestDatabase};
use serde_json::Value;

/// How much of a server's log is shown when its test fails.
const LOG_LINES: usize = 40;

/// A running server.
pub(crate) struct Serving {
    child: Child,
    /// The lines of stdout up to and including `Ready:`.
    pub(crate) banner: Vec<String>,
    /// The issuer in the `Ready:` line.
    pub(crate) issuer: String,
    address: Option<SocketAddr>,
    stderr: Option<JoinHandle<String>>,
}

/// Returns the command with an empty environment.
pub(crate) fn countersign(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command, which must end within ten seconds.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut child = countersign(arguments).envs(environment.iter().copied()).spawn().unwrap();
    for _ in 0..1000 {
        if child.try_wait().unwrap().is_some() {
            return child.wait_with_output().unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    panic!("{arguments:?} did not end: {:?}", child.wait_with_output());
}

/// Returns the single line of a failed start. There must be no other output.
pub(crate) fn failed_line(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr.trim_end().to_owned()
}

/// Starts on a free port with more arguments, and returns the line of the failure.
pub(crate) fn fail_to_start(database: &TestDatabase, more: &[&str], environment: &[(&str, &str)]) -> String {
    let arguments = serve_arguments(database);
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    arguments.extend_from_slice(more);
    let listen = ("COUNTERSIGN_LISTEN", "127.0.0.1:0");
    failed_line(&run(&arguments, &[&[listen], environment].concat()))
}

/// The arguments of `serve` for a database: its directory, and its URL if it is PostgreSQL.
pub(crate) fn serve_arguments(database: &TestDatabase) -> Vec<String> {
    let directory = database.directory.path().join("data").display().to_string();
    let mut arguments = vec!["serve".to_owned(), "--data-dir".to_owned(), directory];
    if let Some(url) = &database.url {
        arguments.extend(["--database-url".to_owned(), url.clone()]);
    }
    arguments
}

impl Serving {
    /// Serves the demo on a free port.
    pub(crate) fn demo(database: &TestDatabase) -> Self {
        Self::start(database, &["--demo"], &[])
    }

    /// Serves the demo over TLS with these files.
    pub(crate) fn over_tls(database: &TestDatabase, files: &CertificateFiles) -> Self {
        let flags = files.flags();
        Self::start(database, &[&["--demo"][..], &flags.each_ref().map(String::as_str)].concat(), &[])
    }

    /// Serves with more arguments and variables, on a free port by default.
    pub(crate) fn start(database: &TestDatabase, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut arguments = serve_arguments(database);
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        if !more.contains(&"--listen") {
            arguments.extend(["--listen".to_owned(), "127.0.0.1:0".to_owned()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        // No load balancer is in front of it, unless a story says so.
        let drain = ("COUNTERSIGN_HTTP_DRAIN_S", "0");
        let environment = std::iter::once(drain).chain(environment.iter().copied());
        Self::spawn(countersign(&arguments).envs(environment))
    }

    /// Runs a prepared command.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut banner = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            banner.push(line.unwrap());
            if banner.last().is_some_and(|line: &String| line.starts_with("Ready: ")) {
                break;
            }
        }
        let issuer = banner.last().and_then(|line| line.strip_prefix("Ready: ")).map(str::to_owned);
        let serving = Self { child, banner, issuer: issuer.unwrap_or_default(), address: None, stderr: Some(stderr) };
        if serving.issuer.is_empty() {
            panic!("no Ready line: {:?} {:?}", serving.banner.clone(), serving.wait());
        }
        serving
    }

    /// The process ID.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sets its address, if it differs from its issuer.
    pub(crate) fn at(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// The address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        if let Some(address) = self.address {
            return address;
        }
        self.issuer.split_once("://").unwrap().1.parse().unwrap()
    }

    /// Waits until `/readyz` returns 200.
    pub(crate) async fn ready(&self) {
        let stranger = Actor::new(self.address(), "", "");
        for _ in 0..500 {
            if stranger.get("/readyz").await.status == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never ready");
    }

    /// A client with this ID and secret.
    pub(crate) fn actor(&self, id: &str, secret: &str) -> Actor {
        Actor::new(self.address(), id, secret)
    }

    /// The demo's client.
    pub(crate) fn demo_service(&self, demo: &Value) -> Actor {
        self.actor(demo["client_id"].as_str().unwrap(), demo["client_secret"].as_str().unwrap())
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for the end. Returns the exit status and stderr.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, self.stderr.take().unwrap().join().unwrap())
    }

    /// Like `wait`, but fails after this time.
    pub(crate) fn wait_at_most(mut self, limit: Duration) -> (ExitStatus, String) {
        for _ in 0..limit.as_millis() / 10 {
            if self.child.try_wait().unwrap().is_some() {
                return self.wait();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it did not end within {limit:?}");
    }

    /// Stops it like an operator. Returns stderr.
    pub(crate) fn stop(self) -> String {
        self.signal("TERM");
        let (status, stderr) = self.wait();
        assert!(status.success(), "{status} {stderr}");
        stderr
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // A failed test leaves no process running.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking()
            && let Some(Ok(log)) = self.stderr.take().map(JoinHandle::join)
        {
            let lines: Vec<&str> = log.lines().collect();
            println!(
                "the end of the log of the server:\n{}",
                lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
            );
        }
    }
}

/// `demo.json` in the data directory of a database.
pub(crate) fn demo_json(database: &TestDatabase) -> Value {
    serde_json::from_str(&read(&database.directory.path().join("data/demo.json"))).unwrap()
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Sets the permissions of a file or directory.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
