//! Feeds arbitrary bytes to every parser of untrusted input. Nothing may panic, and accepted input must keep the invariants.
//!
//! `cargo +nightly fuzz run TARGET --features libfuzzer` searches for input that fails. The tests replay `corpus/`.

use countersign_protocol::client_authentication;
use countersign_protocol::form::Form;
use countersign_protocol::jose::jws::UnverifiedJwt;
use countersign_protocol::path_rule::{PathRule, normalise};
use countersign_server::config::Config;

/// The body of a token request. Accepted forms have no duplicate name and no NUL.
pub fn form(data: &[u8]) {
    let Ok(form) = Form::parse(data) else { return };
    for name in form.names() {
        assert!(!name.contains('\0'));
        assert!(form.find(name).is_none_or(|value| !value.contains('\0')));
        assert!(name == "resource" || form.names().filter(|other| *other == name).count() == 1);
    }
}

/// An `Authorization` header. Two headers are always refused.
pub fn basic(data: &[u8]) {
    let Ok(form) = Form::parse(b"") else { return };
    let _ = client_authentication::parse(&[data], &form);
    let _ = client_authentication::parse(&[data, data], &form).expect_err("two headers are refused");
}

/// An unverified access token.
pub fn jws(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(token) = UnverifiedJwt::parse(text) else { return };
    let _ = (token.key_id(), token.media_type(), token.header(), token.claims());
}

/// A rule and a path on separate lines. A rule parses the same after printing, and a normalized path stays unchanged.
pub fn path_rule(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (rule, path) = text.split_once('\n').unwrap_or((text, "/"));
    let Ok(path) = normalise(path) else { return };
    assert_eq!(normalise(path.as_str()).map(|again| again.as_str().to_owned()).ok().as_deref(), Some(path.as_str()));
    let Ok(rule) = PathRule::parse(rule) else { return };
    let again = PathRule::parse(rule.as_str()).expect("a printed rule parses");
    for method in ["GET", "HEAD", "POST"] {
        assert_eq!(rule.allows(method, &path), again.allows(method, &path));
    }
}

/// A configuration file. An accepted one is the same after printing and parsing.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(config) = toml::from_str::<Config>(text) else { return };
    let Ok(printed) = toml::to_string(&config) else { return };
    assert_eq!(toml::from_str::<Config>(&printed).ok(), Some(config));
}
