//! What the stories need: Node with the packages of `package-lock.json`, Python with those of `requirements.txt`.

use std::path::PathBuf;
use std::process::Command;

use super::directory;
use crate::run::{apt_install, output, root, status};
use crate::{Outcome, node};

/// Installs everything that is missing.
pub(super) fn install() -> Outcome {
    find_python()?;
    node::install(&directory().join("node"))?;
    install_for_python()
}

/// The Python of the virtual environment.
pub(super) fn python() -> PathBuf {
    environment().join("bin/python")
}

fn find_python() -> Outcome {
    let with_venv = || output(Command::new("python3").args(["-c", "import ensurepip, venv"]));
    if with_venv().is_err() {
        apt_install(&["python3", "python3-venv"])?;
        with_venv()?;
    }
    Ok(())
}

/// Installs exactly the requirements, with their hashes. Only wheels, because a source package would run its own code.
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
