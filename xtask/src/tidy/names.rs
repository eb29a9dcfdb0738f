//! Meaningless words that must not be part of a name.

const FORBIDDEN: [&str; 11] =
    ["manager", "helper", "util", "utils", "common", "misc", "base", "data", "info", "service", "processor"];

/// Allowed names, each with its reason.
const ALLOWED: [&str; 6] = [
    "Data",          // an associated type of http_body's Body
    "Service",       // an associated type of tower's Layer
    "DataDirectory", // the usual term, and the flag's name
    "data_directory",
    "demo_service", // the contract names the demo's client so
    "a_service_gets_a_token_that_the_api_accepts",
];

/// Returns the names in a file that contain a forbidden word.
pub(super) fn check(file: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some(name) = defined_name(line).filter(|name| !ALLOWED.contains(name)) else {
            continue;
        };
        if let Some(word) = words(name).iter().find(|word| FORBIDDEN.contains(&word.as_str())) {
            faults.push(format!("{file}:{}: `{name}` contains the meaningless word `{word}`", index + 1));
        }
    }
    faults
}

/// The name after `struct`, `enum`, `trait`, `fn`, `mod`, `type`, `const` or `static`.
fn defined_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let keyword =
        |word: &&str| matches!(*word, "struct" | "enum" | "trait" | "fn" | "mod" | "type" | "const" | "static");
    let qualifier = |word: &&str| word.starts_with("pub") || matches!(*word, "async" | "unsafe" | "const");
    let mut word = words.find(|word| !qualifier(word) || keyword(word))?;
    if word == "const" && line.contains("const fn") {
        word = words.next()?;
    }
    if !keyword(&word) {
        return None;
    }
    let rest = words.next()?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    Some(&rest[..end])
}

/// The words of a name in snake_case or CamelCase, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for character in name.chars() {
        let begins =
            character == '_' || (character.is_uppercase() && words.last().is_some_and(|word| !word.is_empty()));
        if begins {
            words.push(String::new());
        }
        if character != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_meaningless_word_is_found() {
        assert_eq!(check("f", "pub(crate) struct TokenManager;").len(), 1);
        assert_eq!(check("f", "async fn base_url() {}").len(), 1);
        assert_eq!(check("f", "const fn util() {}").len(), 1);
        assert!(check("f", "pub struct Metadata { data: u8 }\nfn database() {}\nlet info = 1;").is_empty());
    }
}
