//! What must pass before anything lands.

use crate::run::{cargo, status};
use crate::{Outcome, test, tidy};

/// Format, lints, the shape of the house, and every test.
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
