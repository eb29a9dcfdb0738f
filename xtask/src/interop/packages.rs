//! What the stories need: Node with the packages of `package-lock.json`, Python with those of `requirements.txt`.

use std::path::PathBuf;
use std::process::Command;

use super::directory;
use crate::Outcome;
use crate::run::{apt_install, exists, output, root, status};

/// The oldest Node with a global Web Crypto, which the libraries sign and verify with.
const NODE_MIN_MAJOR: u32 = 20;

/// Installs everything that is not there yet.
pub(super) fn install() -> Outcome {
    find_node()?;
    find_python()?;
    install_for_node()?;
    install_for_python()
}

/// The Python of the virtual environment.
pub(super) fn python() -> PathBuf {
    environment().join("bin/python")
}

fn find_node() -> Outcome {
    if !exists("node") || !exists("npm") {
        apt_install(&["nodejs", "npm"])?;
    }
    let version = output(Command::new("node").arg("--version"))?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < NODE_MIN_MAJOR) {
        return Err(format!("node {} is too old: {NODE_MIN_MAJOR} is needed", version.trim()));
    }
    Ok(())
}

fn find_python() -> Outcome {
    let with_venv = || output(Command::new("python3").args(["-c", "import ensurepip, venv"]));
    if with_venv().is_err() {
        apt_install(&["python3", "python3-venv"])?;
        with_venv()?;
    }
    Ok(())
}

/// Exactly what the lock file names, with its hashes. No script of a package runs (`.npmrc`).
fn install_for_node() -> Outcome {
    let place = directory().join("node");
    status(Command::new("npm").args(["ci", "--prefer-offline", "--loglevel=error", "--prefix"]).arg(place))
}

/// Exactly what the requirements name, with their hashes. Wheels only: a source package would run its own code.
fn install_for_python() -> Outcome {
    if !python().exists() {
        status(Command::new("python3").args(["-m", "venv"]).arg(environment()))?;
    }
    let requirements = directory().join("python/requirements.txt");
    let options = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"];
    status(Command::new(python()).args(options).args(["--only-binary", ":all:", "-r"]).arg(requirements))
}

fn environment() -> PathBuf {
    root().join("target/interop-venv")
}
