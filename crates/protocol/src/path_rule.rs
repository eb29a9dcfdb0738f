//! Which requests a scope opens, and the one form of a path that is judged.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// The longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 500;
/// The most memory that one compiled pattern may take, in bytes.
const MAX_COMPILED_BYTES: usize = 64 * 1024;
/// The methods that a rule may name.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A rule of a scope: `METHOD[,METHOD] PATTERN`, `*` for any method; GET implies HEAD.
///
/// The pattern is matched whole (`\A(?:PATTERN)\z`), with regard to case, in linear time.
#[derive(Clone, Debug)]
pub struct PathRule {
    text: String,
    methods: Vec<&'static str>,
    pattern: Regex,
}

/// Why a text is no rule.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PathRuleError {
    /// It is not two words.
    #[error("a rule is METHOD[,METHOD] and a pattern, separated by one space")]
    Shape,
    /// A method is unknown.
    #[error("unknown method; known are * GET HEAD POST PUT PATCH DELETE OPTIONS")]
    Method,
    /// The pattern does not compile, is too large, or sets flags inside.
    #[error("the pattern {0}")]
    Pattern(String),
}

impl PathRule {
    /// Parses and compiles a rule.
    pub fn parse(text: &str) -> Result<Self, PathRuleError> {
        let (methods, pattern) = text.split_once(' ').ok_or(PathRuleError::Shape)?;
        Ok(Self { text: text.to_owned(), methods: parse_methods(methods)?, pattern: compile(pattern)? })
    }

    /// True if the rule opens this method on this path, which must come from [`normalise`].
    pub fn allows(&self, method: &str, path: &NormalPath) -> bool {
        let named = |wanted: &str| self.methods.contains(&wanted);
        let method_fits = self.methods.is_empty() || named(method) || (method == "HEAD" && named("GET"));
        method_fits && self.pattern.is_match(&path.0)
    }

    /// The rule as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn parse_methods(text: &str) -> Result<Vec<&'static str>, PathRuleError> {
    if text == "*" {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|word| METHODS.into_iter().find(|method| *method == word).ok_or(PathRuleError::Method))
        .collect()
}

fn compile(pattern: &str) -> Result<Regex, PathRuleError> {
    if pattern.is_empty() || pattern.len() > MAX_PATTERN_BYTES {
        return Err(PathRuleError::Pattern(format!("must have 1 to {MAX_PATTERN_BYTES} bytes")));
    }
    if sets_flags(pattern) {
        return Err(PathRuleError::Pattern("must not set flags".to_owned()));
    }
    // Alone first, so that `a)|(?:b` cannot close the group that anchors it.
    let built = build(pattern).and_then(|_| build(&format!(r"\A(?:{pattern})\z")));
    built.map_err(|error| PathRuleError::Pattern(describe(&error)))
}

fn build(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(MAX_COMPILED_BYTES).dfa_size_limit(MAX_COMPILED_BYTES).build()
}

fn describe(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "is too large when compiled".to_owned(),
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or("is refused");
            format!("does not compile: {}", last.trim_start_matches("error: "))
        }
    }
}

/// True for `(?i)`, `(?s:…)` and the like: a group that opens with flags instead of `?:`.
fn sets_flags(pattern: &str) -> bool {
    pattern.match_indices("(?").any(|(at, _)| !pattern[at + 2..].starts_with(':'))
}

/// A request's path in the one form that rules, guard and router all see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalPath(String);

impl NormalPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NormalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path that two parsers might read differently, and which is therefore refused.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the path is ambiguous")]
pub struct AmbiguousPath;

/// Decodes escapes of unreserved characters once and refuses what is ambiguous (RFC 3986 §6.2.2).
///
/// Takes the path without its query. Refused are a path that is not absolute, invalid UTF-8, broken escapes, escapes of
/// control characters, `%2F %5C %25`, backslash, `;`, `//`, and the segments `.` and `..`: each has opened a guard
/// that another parser then walked through.
pub fn normalise(path: &str) -> Result<NormalPath, AmbiguousPath> {
    let decoded = decode_unreserved(path)?;
    let bad_text = !decoded.starts_with('/') || decoded.contains("//");
    let bad_byte = decoded.bytes().any(|byte| matches!(byte, b'\\' | b';' | 0..=0x20 | 0x7F));
    let bad_segment = decoded.split('/').any(|segment| matches!(segment, "." | ".."));
    if bad_text || bad_byte || bad_segment || !escapes_are_utf8(&decoded) {
        return Err(AmbiguousPath);
    }
    Ok(NormalPath(decoded))
}

/// Decodes what needs no escape, upper-cases the escapes that stay, refuses those that another parser would act on.
fn decode_unreserved(path: &str) -> Result<String, AmbiguousPath> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        let escape = rest.get(at + 1..at + 3).ok_or(AmbiguousPath)?;
        let byte = parse_hex(escape).ok_or(AmbiguousPath)?;
        match byte {
            b'/' | b'\\' | b'%' | b';' | 0..=0x1F | 0x7F => return Err(AmbiguousPath),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => decoded.push(char::from(byte)),
            _ => decoded.push_str(&format!("%{byte:02X}")),
        }
        rest = &rest[at + 3..];
    }
    decoded.push_str(rest);
    Ok(decoded)
}

fn escapes_are_utf8(path: &str) -> bool {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let escape = (*byte == b'%').then(|| tail.get(..2)).flatten();
        match escape.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(parse_hex) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    std::str::from_utf8(&bytes).is_ok()
}

fn parse_hex(pair: &str) -> Option<u8> {
    if !pair.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(pair, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allows(rule: &str, method: &str, path: &str) -> bool {
        let path = normalise(path).expect("a plain path");
        PathRule::parse(rule).expect("a rule").allows(method, &path)
    }

    #[test]
    fn a_rule_matches_the_whole_path_and_get_implies_head() {
        let rule = "GET /reports(/.*)?";
        for (method, path) in [("GET", "/reports"), ("HEAD", "/reports"), ("GET", "/reports/7"), ("GET", "/reports/")] {
            assert!(allows(rule, method, path), "{method} {path}");
        }
        for (method, path) in [
            ("POST", "/reports"),
            ("GET", "/reportsx"),
            ("GET", "/x/reports"),
            ("GET", "/Reports"),
            ("GET", "/reports."),
            ("get", "/reports"),
        ] {
            assert!(!allows(rule, method, path), "{method} {path}");
        }
        assert!(allows("* .*", "DELETE", "/anything"));
        assert!(allows("PUT,POST /a|/b", "POST", "/b"));
        assert!(!allows("PUT,POST /a|/b", "POST", "/b/c"));
    }

    #[test]
    fn a_pattern_that_could_escape_its_anchors_or_cost_too_much_is_refused() {
        for bad in [
            "GET",
            "GET ",
            "get /",
            "GET,, /",
            "GET a)|(?:b",
            "GET (?i)/a",
            "GET (?s:/a)",
            "GET (",
            "GET .{1,1000}{100}",
        ] {
            assert!(PathRule::parse(bad).is_err(), "{bad}");
        }
        assert!(PathRule::parse(&format!("GET {}", "a".repeat(MAX_PATTERN_BYTES + 1))).is_err());
    }

    #[test]
    fn escapes_of_unreserved_characters_are_decoded_once() {
        for (given, normal) in
            [("/%72eports", "/reports"), ("/a%2db", "/a-b"), ("/%e2%82%ac", "/%E2%82%AC"), ("/a%20b", "/a%20b")]
        {
            assert_eq!(normalise(given).expect(given).as_str(), normal);
        }
    }

    #[test]
    fn what_two_parsers_might_read_differently_is_refused() {
        for path in [
            "",
            "a",
            "//a",
            "/a//b",
            "/a/./b",
            "/a/../b",
            "/..",
            "/.",
            "/a/%2e%2e/b",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a;x",
            "/a%3bx",
            "/%252e",
            "/a%00",
            "/a%0a",
            "/a%1F",
            "/a%7f",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%+1",
            "/%ff",
            "/%c3%28",
            "/a b",
        ] {
            assert_eq!(normalise(path), Err(AmbiguousPath), "{path}");
        }
    }

    proptest! {
        #[test]
        fn normalising_is_settled_after_one_step(path in "/[a-zA-Z0-9%./;_~-]{0,24}") {
            if let Ok(normal) = normalise(&path) {
                prop_assert_eq!(normalise(normal.as_str()), Ok(normal));
            }
        }

        #[test]
        fn no_normal_path_climbs_or_hides_a_separator(path in "(/|%2[eEfF5]|%5[cC]|\\.|[a-z]){1,24}") {
            if let Ok(normal) = normalise(&path) {
                let text = normal.as_str();
                prop_assert!(!text.contains("..") || !text.split('/').any(|segment| segment == ".."));
                prop_assert!(!text.contains("%2F") && !text.contains("%5C") && !text.contains("//"));
            }
        }
    }
}
