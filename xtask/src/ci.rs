//! What must pass before a merge.

use crate::run::{cargo, status};
use crate::{Outcome, test, tidy};

/// Runs all checks and tests.
pub(crate) fn run() -> Outcome {
    cargo(&["fmt", "--all", "--check"])?;
    tidy::run()?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    status(
        std::process::Command::new("cargo")
            .args(["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    test::run()
}
