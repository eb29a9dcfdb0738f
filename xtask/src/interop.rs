//! Clients that nobody here wrote, against a real server: npm and PyPI packages pinned by lock files.

use std::process::Command;

use crate::Outcome;
use crate::run::{exists, root};

/// Err with what is missing here.
pub(crate) fn prepare() -> Outcome {
    if !root().join("tests/interop").exists() {
        return Ok(());
    }
    for program in ["node", "npm", "python3"] {
        if !exists(program) {
            return Err(format!("{program} is missing; install it"));
        }
    }
    Ok(())
}

/// Runs them all.
pub(crate) fn run() -> Outcome {
    let script = root().join("tests/interop/run");
    if !script.exists() {
        return Ok(());
    }
    crate::run::status(&mut Command::new(script))
}
