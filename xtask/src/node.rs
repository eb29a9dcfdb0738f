//! Node, and the npm packages of a lock file.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::run::{apt_install, exists, output, status};

/// The oldest Node with a global Web Crypto, which the libraries use for signatures.
const NODE_MIN_MAJOR: u32 = 20;

/// Finds or installs Node, and installs exactly what the lock file in `place` lists, with hashes. No package's scripts run
/// (`.npmrc`).
pub(crate) fn install(place: &Path) -> Outcome {
    find_node()?;
    status(Command::new("npm").args(["ci", "--prefer-offline", "--loglevel=error", "--prefix"]).arg(place))
}

/// Runs a script. It only connects to this machine, so it ignores any proxy.
pub(crate) fn script(path: &Path) -> Command {
    local(Command::new("node"), path)
}

/// An interpreter with a script, without a proxy.
pub(crate) fn local(mut interpreter: Command, path: &Path) -> Command {
    interpreter.arg(path).env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    interpreter
}

fn find_node() -> Outcome {
    if !exists("node") || !exists("npm") {
        apt_install(&["nodejs", "npm"])?;
    }
    let version = output(Command::new("node").arg("--version"))?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < NODE_MIN_MAJOR) {
        return Err(format!("node {} is too old; version {NODE_MIN_MAJOR} is required", version.trim()));
    }
    Ok(())
}
