//! Limits the size of files: more than 400 lines without tests are two topics.

const MAX_LINES: usize = 400;

/// Files that may be larger, each with its reason.
const ALLOWED: [&str; 0] = [];

/// Returns a fault if the file is too large.
pub(super) fn check(file: &str, text: &str) -> Vec<String> {
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
    if lines <= MAX_LINES || ALLOWED.contains(&file) {
        return Vec::new();
    }
    vec![format!("{file}: {lines} lines without its tests; the limit is {MAX_LINES}")]
}
