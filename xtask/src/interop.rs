//! Third-party clients against a real server: npm and PyPI packages, pinned by lock files.

mod packages;

use std::path::PathBuf;
use std::process::Command;

use crate::demo_server::Server;
use crate::run::{root, status};
use crate::{Outcome, demo_server, node};

/// The stories, by library. Each has its own server, so that failed sign-ins of one do not affect another.
const STORIES: [&str; 5] = [
    "node/openid_client.mjs",
    "node/oauth4webapi.mjs",
    "node/openapi_lint.mjs",
    "python/authlib_client.py",
    "python/openapi_documents.py",
];

/// Installs what the stories need. Fails with what is missing.
pub(crate) fn prepare() -> Outcome {
    packages::install()
}

/// Runs every story.
pub(crate) fn run() -> Outcome {
    demo_server::build()?;
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
    let path = directory().join(story);
    if story.ends_with(".py") { node::local(Command::new(packages::python()), &path) } else { node::script(&path) }
}

/// The directory of the stories and their lock files.
fn directory() -> PathBuf {
    root().join("tests/interop")
}
