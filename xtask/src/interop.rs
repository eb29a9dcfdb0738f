//! Clients that nobody here wrote, against a real server: npm and PyPI packages pinned by lock files.

mod packages;
mod server;

use std::path::PathBuf;
use std::process::Command;

use crate::Outcome;
use crate::run::{cargo, root, status};
use server::Server;

/// The stories, by library. Each is told to a server of its own: failed sign-ins of one do not count against another.
const STORIES: [&str; 3] = ["node/openid_client.mjs", "node/oauth4webapi.mjs", "python/authlib_client.py"];

/// Installs what the stories need; Err with what is missing here.
pub(crate) fn prepare() -> Outcome {
    packages::install()
}

/// Runs them all.
pub(crate) fn run() -> Outcome {
    // The tests' own binary: one of `cargo build` would be built with other features, and all libraries again.
    cargo(&["test", "--workspace", "--no-run", "--quiet"])?;
    STORIES.iter().try_for_each(|story| tell(story))
}

fn tell(story: &str) -> Outcome {
    let server = Server::start()?;
    let told = status(interpreter(story).arg(server.demo_file()));
    if told.is_err() {
        eprintln!("{}", server.log());
    }
    let stopped = server.stop();
    told.and(stopped)
}

fn interpreter(story: &str) -> Command {
    let program = if story.ends_with(".py") { packages::python() } else { PathBuf::from("node") };
    let mut command = Command::new(program);
    // The only host they speak to is here, whatever proxy leads outside.
    command.arg(directory().join(story)).env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    command
}

/// Where the stories and their lock files are.
fn directory() -> PathBuf {
    root().join("tests/interop")
}
