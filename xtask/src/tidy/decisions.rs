//! Checks that ARCHITECTURE.md refers to existing files and names.

use std::fs;

use crate::run::root;

const MAP: &str = "ARCHITECTURE.md";

/// Returns every missing file, and every row of the index whose file lacks the name.
pub(crate) fn check() -> Vec<String> {
    let map = match fs::read_to_string(root().join(MAP)) {
        Ok(map) => map,
        Err(error) => return vec![format!("{MAP}: {error}")],
    };
    let mut faults = Vec::new();
    for line in map.lines() {
        let mut found = None;
        for word in line.split(|letter: char| letter.is_whitespace() || "`(),".contains(letter)) {
            let Some(file) = source_of(word) else { continue };
            match fs::read_to_string(root().join(&file)) {
                Ok(text) => found = Some((file, text)),
                Err(_) => faults.push(format!("{MAP}: {word} not found ({file})")),
            }
        }
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        if let (["", _, _, name, ""], Some((file, text))) = (&cells[..], found) {
            let is_there = ["fn ", "const ", "struct ", "function "]
                .iter()
                .any(|kind| is_declared(&text, &format!("{kind}{name}")));
            if !is_there {
                faults.push(format!("{MAP}: {file} does not contain {name}"));
            }
        }
    }
    faults
}

/// The path of a file such as `server/oauth/token.rs` or `web/static/login.js`. `None` for a pattern.
fn source_of(word: &str) -> Option<String> {
    let (name, place) = word.split_once('/')?;
    let is_one = !word.contains(['*', '{', '…']) && !place.starts_with("src/");
    let is_crate = root().join("crates").join(name).is_dir();
    match place.rsplit_once('.') {
        Some((_, "rs")) if is_one && is_crate => Some(format!("crates/{name}/src/{place}")),
        Some((_, "js")) if is_one && is_crate => Some(format!("crates/{name}/{place}")),
        _ => None,
    }
}

/// True if the text contains a declaration of exactly this name.
fn is_declared(text: &str, declaration: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    text.match_indices(declaration).any(|(at, _)| ends(&text[at + declaration.len()..]))
}
