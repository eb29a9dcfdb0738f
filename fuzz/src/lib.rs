//! What reads bytes of strangers, fed with any bytes at all: nothing panics, and what is taken keeps what it promises.
//!
//! `cargo +nightly fuzz run TARGET --features libfuzzer` looks for bytes that break a promise; the tests replay `corpus/`.

use countersign_protocol::client_authentication;
use countersign_protocol::form::Form;
use countersign_protocol::jose::jws::UnverifiedJwt;
use countersign_protocol::path_rule::{PathRule, normalise};
use countersign_server::config::Config;

/// A body of a token request: taken or refused, and what is taken has no name twice and no NUL.
pub fn form(data: &[u8]) {
    let Ok(form) = Form::parse(data) else { return };
    for name in form.names() {
        assert!(!name.contains('\0'));
        assert!(form.find(name).is_none_or(|value| !value.contains('\0')));
        assert!(name == "resource" || form.names().filter(|other| *other == name).count() == 1);
    }
}

/// An `Authorization` header: taken or refused, and a client id that is taken is what the header says.
pub fn basic(data: &[u8]) {
    let Ok(form) = Form::parse(b"") else { return };
    let _ = client_authentication::parse(&[data], &form);
    let _ = client_authentication::parse(&[data, data], &form).expect_err("two headers are one too many");
}

/// An access token: refused, or read without being believed.
pub fn jws(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(token) = UnverifiedJwt::parse(text) else { return };
    let _ = (token.key_id(), token.media_type(), token.header(), token.claims());
}

/// A rule and a path, one a line: a rule prints as it was read, and a normal path is normal.
pub fn path_rule(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (rule, path) = text.split_once('\n').unwrap_or((text, "/"));
    let Ok(path) = normalise(path) else { return };
    assert_eq!(normalise(path.as_str()).map(|again| again.as_str().to_owned()).ok().as_deref(), Some(path.as_str()));
    let Ok(rule) = PathRule::parse(rule) else { return };
    let again = PathRule::parse(rule.as_str()).expect("a rule is read again as it is printed");
    for method in ["GET", "HEAD", "POST"] {
        assert_eq!(rule.allows(method, &path), again.allows(method, &path));
    }
}

/// A configuration file: refused by the name of a key, or printed and read again as the same.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(config) = toml::from_str::<Config>(text) else { return };
    let Ok(printed) = toml::to_string(&config) else { return };
    assert_eq!(toml::from_str::<Config>(&printed).ok(), Some(config));
}
