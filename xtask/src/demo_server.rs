//! The real binary with the demo, in its own directory and on its own port.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{sleep, spawn};
use std::time::Duration;

use crate::Outcome;
use crate::run::{cargo, output};

/// A debug build creates keys and hashes two passwords, perhaps while a compiler runs.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The interval for checking readiness and the end.
const PAUSE: Duration = Duration::from_millis(50);
/// The time limit for both, which is longer than `http.shutdown_s`.
const PAUSES: u32 = 300;
/// How much of the log is shown when a trial fails.
const LOG_LINES: usize = 40;

/// Builds the binary as the tests do. With `cargo build`, the features would differ and all libraries would be rebuilt.
pub(crate) fn build() -> Outcome {
    cargo(&["test", "--workspace", "--no-run", "--quiet"])
}

/// A running server. Dropping it kills it and removes its directory.
pub(crate) struct Server {
    child: Child,
    directory: PathBuf,
    lines: Receiver<String>,
}

impl Server {
    /// Starts a server, and waits until it is ready.
    pub(crate) fn start() -> Result<Self, String> {
        let directory = output(Command::new("mktemp").args(["-d", "/tmp/countersign-demo.XXXXXX"]))?;
        let directory = PathBuf::from(directory.trim());
        let log = File::create(directory.join("log")).map_err(|error| error.to_string())?;
        let mut child = Command::new(binary()?)
            // No load balancer is in front of it.
            .env("COUNTERSIGN_HTTP_DRAIN_S", "0")
            .args(["serve", "--demo", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(directory.join("data"))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| error.to_string())?;
        let lines = child.stdout.take().map(read_lines).ok_or("the server has no stdout")?;
        let server = Self { child, directory, lines };
        server.wait_until_ready().map_err(|reason| format!("{reason}\n{}", server.log()))?;
        Ok(server)
    }

    /// The path of `demo.json`.
    pub(crate) fn demo_file(&self) -> PathBuf {
        self.directory.join("data/demo.json")
    }

    /// The last lines of its log.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Stops it with SIGTERM. Fails unless it drains and exits with 0.
    pub(crate) fn stop(mut self) -> Outcome {
        output(Command::new("kill").args(["-TERM", &self.child.id().to_string()]))?;
        let ended = self.wait_for_end()?;
        if ended.success() { Ok(()) } else { Err(format!("the server exited with {ended}\n{}", self.log())) }
    }

    fn wait_until_ready(&self) -> Outcome {
        let address = loop {
            let line = self.lines.recv_timeout(START_LIMIT).map_err(|_| "the server did not print `Ready: URL`")?;
            if let Some(address) = line.strip_prefix("Ready: http://") {
                break address.to_owned();
            }
        };
        for _ in 0..PAUSES {
            if is_ready(&address) && self.demo_file().exists() {
                return Ok(());
            }
            sleep(PAUSE);
        }
        Err(format!("http://{address}/readyz did not return 200"))
    }

    fn wait_for_end(&mut self) -> Result<ExitStatus, String> {
        for _ in 0..PAUSES {
            if let Some(ended) = self.child.try_wait().map_err(|error| error.to_string())? {
                return Ok(ended);
            }
            sleep(PAUSE);
        }
        Err(format!("the server did not exit after SIGTERM\n{}", self.log()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It must end now, if it has not already. Leftover files are in /tmp.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The binary that cargo built next to this one.
fn binary() -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(this.with_file_name("countersign"))
}

/// Reads its lines as they arrive, so that a hanging start is detected by a timeout.
fn read_lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn is_ready(address: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(START_LIMIT))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
