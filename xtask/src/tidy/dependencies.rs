//! Dependencies between crates, and which crates may use which library.

use std::fs;
use std::process::Command;

use toml::Table;

use crate::run::{output, root};

/// The crates of ours that each crate may use.
const DIRECTIONS: [(&str, &[&str]); 9] = [
    ("protocol", &[]),
    ("store", &["protocol"]),
    ("client", &["protocol"]),
    ("guard", &["protocol"]),
    ("server", &["protocol", "store", "client", "guard"]),
    ("web", &["protocol", "store", "client", "guard", "server"]),
    ("cli", &["protocol", "server", "client", "guard", "web"]),
    ("testkit", &["protocol", "store", "client", "server", "guard", "web"]),
    ("bench", &["protocol", "store"]),
];

/// Libraries that only these crates may use, also in tests.
const WALLS: [(&[&str], &[&str]); 5] = [
    (&["sqlx"], &["store"]),
    (&["rusqlite"], &["testkit", "bench"]),
    (&["axum", "tower"], &["server", "web", "guard", "bench"]),
    (&["reqwest"], &["client", "testkit", "bench"]),
    (&["hyper", "hyper-util"], &["server", "bench"]),
];

/// Returns every fault in the manifests and in their dependencies.
pub(super) fn check() -> Vec<String> {
    let mut faults = Vec::new();
    for (name, allowed) in DIRECTIONS {
        match manifest(name) {
            Ok(manifest) => faults.extend(check_crate(name, allowed, &manifest)),
            Err(reason) => faults.push(reason),
        }
    }
    // cargo fails if nothing matches, as it should be. Any other failure proves nothing.
    match output(Command::new("cargo").args(["tree", "--workspace", "-i", "ring"]).current_dir(root())) {
        Ok(tree) if tree.contains("ring v") => {
            faults.push("ring is a dependency; aws-lc-rs must be the only crypto provider".to_owned());
        }
        Err(reason) if !reason.contains("did not match any packages") => faults.push(reason),
        _ => {}
    }
    faults
}

fn check_crate(name: &str, allowed: &[&str], manifest: &Table) -> Vec<String> {
    let mut faults = Vec::new();
    for library in names(manifest, "dependencies") {
        if let Some(ours) = library.strip_prefix("countersign-").filter(|ours| !allowed.contains(ours)) {
            faults.push(format!("crates/{name} must not use countersign-{ours}"));
        }
    }
    for library in names(manifest, "dependencies").chain(names(manifest, "dev-dependencies")) {
        let wall = WALLS.iter().find(|(libraries, _)| libraries.contains(&library));
        if wall.is_some_and(|(_, crates)| !crates.contains(&name)) {
            faults.push(format!("crates/{name} must not use {library}"));
        }
    }
    faults
}

fn names<'m>(manifest: &'m Table, section: &str) -> impl Iterator<Item = &'m str> {
    manifest.get(section).and_then(toml::Value::as_table).into_iter().flat_map(Table::keys).map(String::as_str)
}

fn manifest(name: &str) -> Result<Table, String> {
    let path = root().join("crates").join(name).join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.parse().map_err(|error| format!("{}: {error}", path.display()))
}
