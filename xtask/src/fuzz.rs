//! Ten seconds of any bytes at all for whatever reads bytes of strangers, where a nightly toolchain allows it.

use std::fs;
use std::process::Command;

use crate::Outcome;
use crate::run::{output, root, status};

/// Seconds a target: a smoke, not a search.
const SECONDS: &str = "-max_total_time=10";

/// Feeds every target, or says why only the kept inputs were replayed (which the tests do).
pub(crate) fn run() -> Outcome {
    if let Err(reason) = output(Command::new("cargo").args(["+nightly", "fuzz", "--version"])) {
        let reason = reason.lines().next().unwrap_or_default();
        println!("fuzz: the kept inputs were replayed; no more is looked for without cargo-fuzz on nightly ({reason})");
        return Ok(());
    }
    let targets = fs::read_dir(root().join("fuzz/fuzz_targets")).map_err(|error| error.to_string())?;
    for target in targets.flatten() {
        let name = target.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let fuzz = ["+nightly", "fuzz", "run", &name, "--features", "libfuzzer", "--", SECONDS];
        status(Command::new("cargo").args(fuzz))?;
    }
    Ok(())
}
