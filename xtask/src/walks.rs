//! The pages, walked through in a real browser: Debian's Chromium, led by npm packages pinned by a lock file.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::demo_server::Server;
use crate::run::{apt_install, output, root, status};
use crate::{Outcome, demo_server, node};

/// How many walks are under way at a time: a browser and a server mostly wait for each other.
const LANES: usize = 2;
/// Where Debian puts it.
const BROWSER: &str = "/usr/bin/chromium";

/// Installs what the walks need; Err with what is missing here.
pub(crate) fn prepare() -> Outcome {
    if !Path::new(BROWSER).exists() {
        apt_install(&["chromium"])?;
    }
    output(Command::new(BROWSER).arg("--version"))?;
    node::install(&directory())
}

/// Walks them all, side by side on servers of their own. `--figures` measures instead, on one server and nothing beside
/// it; words pick the walks whose names hold them.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    check_types()?;
    demo_server::build()?;
    let lanes = if arguments.iter().any(|argument| argument == "--figures") { 1 } else { LANES };
    let servers: Vec<Server> = (0..lanes).map(|_| Server::start()).collect::<Result<_, _>>()?;
    let demo_files: Vec<String> = servers.iter().map(|server| server.demo_file().display().to_string()).collect();
    let mut walks = node::script(&directory().join("run.mjs"));
    walks.arg(BROWSER).arg(root().join("target/screens")).arg(demo_files.join(",")).args(arguments);
    let mut outcome = status(&mut walks);
    for server in servers {
        outcome = outcome.and(server.stop());
    }
    outcome
}

/// The pages' scripts, whose types stand in their comments (`tsconfig.json`).
fn check_types() -> Outcome {
    status(node::script(&directory().join("node_modules/typescript/bin/tsc")).arg("-p").arg(directory()))
}

/// Where the walks and their lock file are.
fn directory() -> PathBuf {
    root().join("tests/walks")
}
