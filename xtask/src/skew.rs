//! This version and the one before the newest migration on one database, as in a rolling upgrade.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::postgres::Postgres;
use crate::run::{output, root, status};

/// PostgreSQL's migrations. Those of SQLite have the same numbers.
const MIGRATIONS: &str = "crates/store/migrations/postgres";

/// Builds the older version, which takes minutes the first time, and runs the story with both.
pub(crate) fn run() -> Outcome {
    let commit = find_parent()?;
    println!("the older version is {commit}");
    let older = build(&commit)?;
    let postgres = Postgres::start()?;
    let mut command = Command::new("cargo");
    command.args(["test", "--workspace", "--test", "commands", "--", "--include-ignored", "skew::"]);
    status(command.env("COUNTERSIGN_TEST_POSTGRES", postgres.url()).env("COUNTERSIGN_TEST_OLDER_BINARY", older))
}

/// The parent of the commit that added the newest migration.
fn find_parent() -> Result<String, String> {
    let names = output(Command::new("git").current_dir(root()).args(["ls-files", MIGRATIONS]))?;
    let newest = names.lines().max().ok_or("no migrations found")?.to_owned();
    let added = ["log", "--diff-filter=A", "--format=%H", "-1", "--", &newest];
    let added = output(Command::new("git").current_dir(root()).args(added))?;
    if added.trim().is_empty() {
        return Err(format!("{newest} is not committed yet"));
    }
    let parent = format!("{}^", added.trim());
    Ok(output(Command::new("git").current_dir(root()).args(["rev-parse", &parent]))?.trim().to_owned())
}

/// Builds the binary of a commit in its own worktree.
fn build(commit: &str) -> Result<PathBuf, String> {
    let (source, target) = (root().join("target/skew/source"), root().join("target/skew/target"));
    if source.join(".git").exists() {
        status(git(&source).args(["checkout", "--quiet", "--detach", commit]))?;
    } else {
        let place = source.display().to_string();
        status(git(&root()).args(["worktree", "add", "--force", "--quiet", "--detach", &place, commit]))?;
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--package", "countersign-cli", "--manifest-path"]).arg(source.join("Cargo.toml"));
    status(cargo.env("CARGO_TARGET_DIR", &target))?;
    Ok(target.join("debug/countersign"))
}

fn git(directory: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(directory);
    git
}
