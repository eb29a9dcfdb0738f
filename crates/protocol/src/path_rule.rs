//! Which requests a scope allows, and the normalized form of a path for this decision.

use std::fmt;
use std::sync::{Arc, OnceLock};

use regex::{Regex, RegexBuilder};

/// The maximum length of a pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 500;
/// The maximum size of a compiled pattern, in bytes, for each direction of matching.
const MAX_COMPILED_BYTES: usize = 64 * 1024;
/// The methods that a rule can name.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A rule of a scope: `METHOD[,METHOD] PATTERN`. `*` is any method. GET includes HEAD.
///
/// The pattern must match the whole path (`\A(?:PATTERN)\z`), is case-sensitive, and matches in linear time. It is
/// compiled when the rule is first matched, because a compiled pattern can take 100 KB and most rules are matched on
/// another machine. Clones share the compiled pattern.
#[derive(Clone)]
pub struct PathRule(Arc<Rule>);

struct Rule {
    text: Box<str>,
    methods: Methods,
    /// Compiled at the first match. `None` if it does not compile.
    pattern: OnceLock<Option<Regex>>,
}

enum Methods {
    Any,
    These(Vec<&'static str>),
}

/// Why a text is not a rule.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PathRuleError {
    /// It does not have two words.
    #[error("must be METHOD[,METHOD] and a pattern, separated by one space")]
    Shape,
    /// A method is unknown.
    #[error("unknown method; known: *, GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")]
    Method,
    /// The pattern does not compile, is too large, or sets flags.
    #[error("the pattern {0}")]
    Pattern(String),
}

impl PathRule {
    /// Parses a rule and compiles its pattern.
    pub fn parse(text: &str) -> Result<Self, PathRuleError> {
        let (methods, pattern) = text.split_once(' ').ok_or(PathRuleError::Shape)?;
        let (methods, pattern) = (parse_methods(methods)?, compile(pattern)?);
        Ok(Self::new(text, methods, OnceLock::from(Some(pattern))))
    }

    /// Loads a rule that was parsed before it was stored, without compiling its pattern.
    ///
    /// A text that is not a rule matches nothing, so that a stored rule can never prevent a server from starting.
    pub fn from_stored(text: &str) -> Self {
        let methods = text.split_once(' ').and_then(|(methods, _)| parse_methods(methods).ok());
        Self::new(text, methods.unwrap_or(Methods::These(Vec::new())), OnceLock::new())
    }

    fn new(text: &str, methods: Methods, pattern: OnceLock<Option<Regex>>) -> Self {
        Self(Arc::new(Rule { text: text.into(), methods, pattern }))
    }

    /// Returns the same rule. It shares a pattern that is already compiled, and otherwise compiles its own.
    ///
    /// Use it to match a rule once without keeping its compiled pattern in memory.
    pub fn detached(&self) -> Self {
        if self.is_compiled() { self.clone() } else { Self::from_stored(self.as_str()) }
    }

    /// True once the pattern was compiled.
    pub fn is_compiled(&self) -> bool {
        self.0.pattern.get().is_some()
    }

    /// True if both are clones of one rule and share its compiled pattern.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// True if the rule allows this method on this path, which must come from [`normalise`].
    pub fn allows(&self, method: &str, path: &NormalPath) -> bool {
        self.0.methods.contains(method) && self.pattern().is_some_and(|pattern| pattern.is_match(&path.0))
    }

    fn pattern(&self) -> Option<&Regex> {
        let compile_first = || self.as_str().split_once(' ').and_then(|(_, pattern)| compile(pattern).ok());
        self.0.pattern.get_or_init(compile_first).as_ref()
    }

    /// Returns the rule as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl fmt::Debug for PathRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PathRule").field(&self.as_str()).finish()
    }
}

impl Methods {
    fn contains(&self, method: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(methods) => {
                let named = |wanted: &str| methods.contains(&wanted);
                named(method) || (method == "HEAD" && named("GET"))
            }
        }
    }
}

fn parse_methods(text: &str) -> Result<Methods, PathRuleError> {
    if text == "*" {
        return Ok(Methods::Any);
    }
    let find = |word| METHODS.into_iter().find(|method| *method == word).ok_or(PathRuleError::Method);
    text.split(',').map(find).collect::<Result<_, _>>().map(Methods::These)
}

fn compile(pattern: &str) -> Result<Regex, PathRuleError> {
    if pattern.is_empty() || pattern.len() > MAX_PATTERN_BYTES {
        return Err(PathRuleError::Pattern(format!("must be 1 to {MAX_PATTERN_BYTES} bytes long")));
    }
    if sets_flags(pattern) {
        return Err(PathRuleError::Pattern("must not set flags".to_owned()));
    }
    // Parsed alone first, so that `a)|(?:b` cannot close the group that anchors it.
    let alone = regex_syntax::parse(pattern).map_err(|error| regex::Error::Syntax(error.to_string()));
    let built = alone.and_then(|_| build(&format!(r"\A(?:{pattern})\z")));
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
            let last = text.lines().last().unwrap_or("is invalid");
            format!("does not compile: {}", last.trim_start_matches("error: "))
        }
    }
}

/// True for groups that set flags, for example `(?i)` or `(?s:…)`, but not for `?:`.
fn sets_flags(pattern: &str) -> bool {
    pattern.match_indices("(?").any(|(at, _)| !pattern[at + 2..].starts_with(':'))
}

/// The normalized path of a request, which rules, guard and router all use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalPath(String);

impl NormalPath {
    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NormalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path is ambiguous: two parsers might interpret it differently.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the path is ambiguous")]
pub struct AmbiguousPath;

/// Decodes escapes of unreserved characters once, and refuses ambiguous paths (RFC 3986 §6.2.2).
///
/// Takes the path without its query. Refuses paths that are not absolute, invalid UTF-8, broken escapes, escapes of
/// control characters, `%2F %5C %25`, backslash, `;`, `//`, and the segments `.` and `..`. Each of these has been used
/// to bypass a guard, because another parser interpreted it differently.
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

/// Decodes characters that need no escape, converts the remaining escapes to upper case, and refuses those that another
/// parser would interpret.
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
    fn a_stored_rule_is_compiled_once_at_its_first_match() {
        let path = normalise("/a").expect("a plain path");
        let rule = PathRule::from_stored("GET /a");
        let clone = rule.clone();
        assert!(!rule.allows("POST", &path) && !rule.is_compiled(), "the method alone decides");
        assert!(rule.detached().allows("GET", &path) && !rule.is_compiled(), "a detached rule shares nothing");
        assert!(rule.allows("GET", &path) && clone.is_compiled() && clone.is_shared_with(&rule));
        assert!(rule.detached().is_shared_with(&rule), "a compiled rule is not compiled again");
    }

    #[test]
    fn a_stored_text_that_is_not_a_rule_matches_nothing() {
        let path = normalise("/a").expect("a plain path");
        for text in ["", "GET", "* ", "GET (", "get /a", "GET,, /a", "GET (?i)/a", "GET a)|(?:.*"] {
            let rule = PathRule::from_stored(text);
            assert!(["GET", "get", ""].iter().all(|method| !rule.allows(method, &path)), "{text}");
        }
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
    fn ambiguous_paths_are_refused() {
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
        fn normalizing_is_idempotent(path in "/[a-zA-Z0-9%./;_~-]{0,24}") {
            if let Ok(normal) = normalise(&path) {
                prop_assert_eq!(normalise(normal.as_str()), Ok(normal));
            }
        }

        #[test]
        fn no_normalized_path_climbs_or_hides_a_separator(path in "(/|%2[eEfF5]|%5[cC]|\\.|[a-z]){1,24}") {
            if let Ok(normal) = normalise(&path) {
                let text = normal.as_str();
                prop_assert!(!text.contains("..") || !text.split('/').any(|segment| segment == ".."));
                prop_assert!(!text.contains("%2F") && !text.contains("%5C") && !text.contains("//"));
            }
        }
    }
}
