//! Runs other programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Outcome;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// True in CI, where a check fails if something that it needs is missing.
#[expect(clippy::disallowed_methods, reason = "xtask is a separate program")]
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false")
}

/// Runs cargo in the checkout.
pub(crate) fn cargo(arguments: &[&str]) -> Outcome {
    status(Command::new("cargo").args(arguments))
}

/// Runs a command in the checkout with its output shown, and prints how long it took.
#[expect(clippy::disallowed_methods, reason = "xtask is a separate program")]
pub(crate) fn status(command: &mut Command) -> Outcome {
    let shown = format!("{command:?}").replace('"', "");
    println!("$ {shown}");
    let began = Instant::now();
    let ended = command.current_dir(root()).status();
    println!("after {} s: {shown}", began.elapsed().as_secs());
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown}: {status}")),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

/// Returns the output of a command that succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}").replace('"', "");
    let output = command.output().map_err(|error| format!("{shown}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{shown}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// True if the program can be started.
pub(crate) fn exists(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Installs Debian packages, if possible.
pub(crate) fn apt_install(packages: &[&str]) -> Outcome {
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root || !exists("apt-get") {
        return Err(format!("requires the Debian packages {}", packages.join(" ")));
    }
    status(Command::new("apt-get").args(["update", "-qq"]))?;
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    status(Command::new("apt-get").args(install).args(packages).env("DEBIAN_FRONTEND", "noninteractive"))
}
