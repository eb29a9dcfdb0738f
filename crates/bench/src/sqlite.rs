//! The disk's maximum: one connection, one row per transaction, `synchronous=FULL`, and nothing else.
//!
//! It uses rusqlite, which is the same SQLite without our layers, in a separate process on the server's core.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rusqlite::Connection;

use crate::{Outcome, cores, watch};

/// Commits for this long in a separate process. Returns commits per second.
pub(crate) fn commits_per_s(file: &Path, length: Duration) -> Outcome<f64> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("commits").arg(file).arg(length.as_millis().to_string());
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    text.trim().parse().map_err(|_| format!("commits: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// The separate process: prints commits per second.
pub(crate) fn run(file: &Path, length_ms: &str) -> Outcome<()> {
    cores::pin(&[cores::SERVER])?;
    let length = Duration::from_millis(length_ms.parse()?);
    let connection = Connection::open(file)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE IF NOT EXISTS commits (id INTEGER PRIMARY KEY, content BLOB NOT NULL)",
    )?;
    let began = watch::now();
    let mut count = 0;
    while began.elapsed() < length {
        connection.execute_batch("BEGIN IMMEDIATE; INSERT INTO commits (content) VALUES (randomblob(64)); COMMIT")?;
        count += 1;
    }
    println!("{}", f64::from(count) / began.elapsed().as_secs_f64());
    Ok(())
}
