//! The pages, walked through in a real browser: Debian's Chromium, led by npm packages pinned by a lock file.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::demo_server::Server;
use crate::run::{apt_install, output, root, status};
use crate::{Outcome, demo_server, node};

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

/// Walks them all, on a server of their own. `--figures` measures instead, words pick the walks whose names hold them.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    check_types()?;
    demo_server::build()?;
    let server = Server::start()?;
    let mut walks = node::script(&directory().join("run.mjs"));
    walks.arg(server.demo_file()).arg(BROWSER).arg(root().join("target/screens")).args(arguments);
    let walked = status(&mut walks);
    if walked.is_err() {
        eprintln!("{}", server.log());
    }
    let stopped = server.stop();
    walked.and(stopped)
}

/// The pages' scripts, whose types stand in their comments (`tsconfig.json`).
fn check_types() -> Outcome {
    status(node::script(&directory().join("node_modules/typescript/bin/tsc")).arg("-p").arg(directory()))
}

/// Where the walks and their lock file are.
fn directory() -> PathBuf {
    root().join("tests/walks")
}
