//! What is measured. The whole run takes about seven minutes, a quick one three.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Outcome;

/// The sections, which the command line can select.
pub(crate) const SECTIONS: [&str; 11] = [
    "tokens",
    "introspection",
    "clients",
    "scale",
    "limits",
    "starts",
    "memory",
    "migrate",
    "commits",
    "timing",
    "overload",
];
/// The section that measures functions in this process instead of the binary.
const IN_PROCESS: &str = "timing";

/// The settings of a run.
pub(crate) struct Plan {
    quick: bool,
    sections: Vec<String>,
    /// An empty PostgreSQL database, if there is one.
    pub(crate) postgres: Option<String>,
    /// The number of rounds per measurement. The median counts.
    pub(crate) rounds: usize,
    /// The length of a round of requests.
    pub(crate) round: Duration,
    /// The length of the warm-up before the first round.
    pub(crate) warm_up: Duration,
    /// The length of a round of commits.
    pub(crate) commits_round: Duration,
    /// The number of tokens issued before the memory is measured.
    pub(crate) tokens_before_memory: u64,
}

impl Plan {
    /// Parses `[--quick] [SECTION…]`.
    pub(crate) fn parse(arguments: &[&str], postgres: Option<String>) -> Outcome<Self> {
        let (flags, sections): (Vec<&str>, Vec<&str>) =
            arguments.iter().partition(|argument| argument.starts_with("--"));
        if flags.iter().any(|flag| *flag != "--quick") || sections.iter().any(|name| !SECTIONS.contains(name)) {
            return Err(format!("usage: cargo xtask bench [--quick] [{}]…", SECTIONS.join("|")).into());
        }
        let sections = sections.iter().map(|&name| name.to_owned()).collect();
        let ms = Duration::from_millis;
        Ok(if flags.is_empty() {
            Self {
                quick: false,
                sections,
                postgres,
                rounds: 5,
                round: ms(3000),
                warm_up: ms(500),
                commits_round: ms(2000),
                tokens_before_memory: 1_000_000,
            }
        } else {
            Self {
                quick: true,
                sections,
                postgres,
                rounds: 3,
                round: ms(800),
                warm_up: ms(200),
                commits_round: ms(500),
                tokens_before_memory: 50_000,
            }
        })
    }

    /// True if this section is measured.
    pub(crate) fn has(&self, section: &str) -> bool {
        self.sections.is_empty() || self.sections.iter().any(|name| name == section)
    }

    /// True if a section measures the binary.
    pub(crate) fn needs_binary(&self) -> bool {
        SECTIONS.iter().any(|section| *section != IN_PROCESS && self.has(section))
    }

    /// True if everything is measured at full length. Only these results are stored.
    pub(crate) fn is_whole(&self) -> bool {
        !self.quick && self.sections.is_empty()
    }

    /// Builds the release binary.
    pub(crate) fn build_binary(&self) -> Outcome<()> {
        let mut build = Command::new("cargo");
        build.args(["build", "--release", "--package", "countersign-cli"]).current_dir(root());
        if build.status()?.success() { Ok(()) } else { Err("countersign could not be built".into()) }
    }
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The binary to measure, which is next to this one.
pub(crate) fn binary() -> Outcome<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("countersign");
    if path.exists() { Ok(path) } else { Err(format!("{}: not built; use --release", path.display()).into()) }
}
