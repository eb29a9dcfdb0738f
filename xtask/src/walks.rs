//! Browser tests of the pages in Debian's Chromium, driven by npm packages that are pinned by a lock file.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::demo_server::Server;
use crate::run::{apt_install, output, root, status};
use crate::{Outcome, demo_server, node};

/// The number of concurrent walks. A browser and a server mostly wait for each other.
const LANES: usize = 2;
/// Debian's path of the browser.
const BROWSER: &str = "/usr/bin/chromium";

/// Installs what the walks need. Fails with what is missing.
pub(crate) fn prepare() -> Outcome {
    if !Path::new(BROWSER).exists() {
        apt_install(&["chromium"])?;
    }
    output(Command::new(BROWSER).arg("--version"))?;
    node::install(&directory())
}

/// Runs all walks, each on its own server. `--figures` measures instead, with one server and nothing else running. Words
/// select the walks whose names contain them.
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

/// Checks the pages' scripts, whose types are in comments (`tsconfig.json`).
fn check_types() -> Outcome {
    status(node::script(&directory().join("node_modules/typescript/bin/tsc")).arg("-p").arg(directory()))
}

/// The directory of the walks and their lock file.
fn directory() -> PathBuf {
    root().join("tests/walks")
}
