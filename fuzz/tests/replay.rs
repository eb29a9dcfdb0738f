//! Replays every stored input, whole and truncated at every position.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot continue has failed")]

use std::fs;
use std::path::Path;

fn replay(target: &str, feed: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut inputs = 0;
    for file in fs::read_dir(&corpus).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        (0..=bytes.len()).for_each(|length| feed(&bytes[..length]));
        inputs += 1;
    }
    assert!(inputs >= 5, "{} has only {inputs} inputs", corpus.display());
}

#[test]
fn forms() {
    replay("form", countersign_fuzz::form);
}

#[test]
fn basic_credentials() {
    replay("basic", countersign_fuzz::basic);
}

#[test]
fn tokens() {
    replay("jws", countersign_fuzz::jws);
}

#[test]
fn path_rules() {
    replay("path_rule", countersign_fuzz::path_rule);
}

#[test]
fn configurations() {
    replay("configuration", countersign_fuzz::configuration);
}
