//! Checks of the repository: dependencies between crates, third-party libraries, names and file sizes.

mod circles;
mod decisions;
mod dependencies;
mod names;
mod sizes;

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::root;
use crate::{Outcome, docs};

/// Runs every check, and lists all faults.
pub(crate) fn run() -> Outcome {
    let mut faults = Vec::new();
    faults.extend(dependencies::check());
    faults.extend(decisions::check());
    faults.extend(docs::check());
    let mut files = Vec::new();
    for file in rust_files(&root()) {
        let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let shown = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        faults.extend(names::check(&shown, &text));
        faults.extend(sizes::check(&shown, &text));
        files.push((shown, text));
    }
    faults.extend(circles::check(&files));
    if faults.is_empty() {
        println!("tidy: no problems found");
        return Ok(());
    }
    Err(format!("tidy:\n  {}", faults.join("\n  ")))
}

/// Every Rust file of the checkout.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut waiting = ["crates", "fuzz", "xtask"].map(|room| directory.join(room)).to_vec();
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
