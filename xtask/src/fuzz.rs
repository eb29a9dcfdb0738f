//! Feeds ten seconds of random bytes to every parser of untrusted bytes, if cargo-fuzz is installed.

use std::fs;
use std::process::Command;

use crate::Outcome;
use crate::run::{output, root, status};

/// Seconds per target: only a smoke test.
const SECONDS: &str = "-max_total_time=10";

/// Runs every target, or says why only the stored inputs were replayed (by the tests).
pub(crate) fn run() -> Outcome {
    if let Err(reason) = output(cargo_fuzz().arg("--version")) {
        let reason = reason.lines().next().unwrap_or_default();
        println!("fuzz: replayed the stored inputs; generating new ones needs cargo-fuzz ({reason})");
        return Ok(());
    }
    let targets = fs::read_dir(root().join("fuzz/fuzz_targets")).map_err(|error| error.to_string())?;
    // New inputs go to the first directory. A person decides which to keep.
    let found = root().join("target/fuzz-found");
    for target in targets.flatten() {
        let name = target.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (found, kept) = (found.join(&name), root().join("fuzz/corpus").join(&name));
        fs::create_dir_all(&found).map_err(|error| error.to_string())?;
        let run = ["run", &name, "--features", "libfuzzer", "--sanitizer", "none"];
        status(cargo_fuzz().args(run).arg(found).arg(kept).args(["--", SECONDS]))?;
    }
    Ok(())
}

/// A stable toolchain works with this variable: without a sanitizer, only the coverage flags are unstable.
fn cargo_fuzz() -> Command {
    let mut command = Command::new("cargo");
    command.arg("fuzz").env("RUSTC_BOOTSTRAP", "1");
    command
}
