//! A small reader of Rust: structs with their doc comments, and what `Default` makes of them. It knows the forms that the
//! configuration is written in, and says so where it meets another.

use std::collections::BTreeMap;

/// A field of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its name.
    pub(super) name: String,
    /// Its type.
    pub(super) kind: String,
    /// Its doc comment, in one line.
    pub(super) words: String,
}

/// Every public struct, with its own doc comment, its fields, and their defaults where `Default` is written out.
#[derive(Debug, Default)]
pub(super) struct Structs {
    fields: BTreeMap<String, (String, Vec<Field>)>,
    defaults: BTreeMap<(String, String), String>,
}

impl Structs {
    /// Reads sources.
    pub(super) fn read(text: &str) -> Self {
        let mut structs = Self::default();
        let (mut words, mut open): (Vec<&str>, Option<String>) = (Vec::new(), None);
        for line in text.lines().map(str::trim) {
            if let Some(said) = line.strip_prefix("///") {
                words.push(said.trim());
            } else if let Some(name) = line.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {")) {
                structs.fields.insert(name.to_owned(), (words.join(" "), Vec::new()));
                (words, open) = (Vec::new(), Some(name.to_owned()));
            } else if line == "}" {
                open = None;
            } else if !line.starts_with("#[") {
                let field = line.strip_prefix("pub ").and_then(|rest| rest.strip_suffix(',')?.split_once(": "));
                if let (Some(open), Some((name, kind))) = (&open, field) {
                    let (name, kind) = (name.to_owned(), kind.to_owned());
                    let field = Field { name, kind, words: words.join(" ") };
                    structs.fields.entry(open.clone()).and_modify(|(_, fields)| fields.push(field));
                }
                words.clear();
            }
        }
        structs.read_defaults(text);
        structs
    }

    /// The fields of a struct.
    pub(super) fn find(&self, name: &str) -> Option<&[Field]> {
        self.fields.get(name).map(|(_, fields)| fields.as_slice())
    }

    /// What a struct says of itself.
    pub(super) fn words_of(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |(words, _)| words)
    }

    /// What a field is where nobody sets it, as it would be written in the file.
    pub(super) fn default_of(&self, owner: &str, field: &Field) -> Result<String, String> {
        let key = (owner.to_owned(), field.name.clone());
        match self.defaults.get(&key) {
            Some(expression) => evaluate(expression)
                .ok_or_else(|| format!("{owner}.{}: no default is read in `{expression}`", field.name)),
            None if field.kind.starts_with("Option<") => Ok("none".to_owned()),
            None if field.kind.starts_with("Vec<") => Ok("`[]`".to_owned()),
            None => Err(format!("{owner}.{}: has no default that can be read", field.name)),
        }
    }

    fn read_defaults(&mut self, text: &str) {
        for implementation in text.split("impl Default for ").skip(1) {
            let made = implementation.split_once("-> Self {").and_then(|(_, rest)| rest.split_once("Self {"));
            let (Some((owner, _)), Some((_, body))) = (implementation.split_once(' '), made) else {
                continue;
            };
            for (field, expression) in split_members(body) {
                self.defaults.insert((owner.to_owned(), field), expression);
            }
        }
    }
}

/// The kind of each key that `KEYS` lists, in words.
pub(super) fn find_kinds(text: &str) -> BTreeMap<String, &'static str> {
    let kinds = [("Text", "string"), ("Number", "integer"), ("Switch", "boolean"), ("List", "list of strings")];
    let entry = |line: &str| {
        let (key, kind) = line.trim().strip_prefix("(\"")?.strip_suffix("),")?.split_once("\", Kind::")?;
        Some((key.to_owned(), kinds.iter().find(|(known, _)| *known == kind)?.1))
    };
    text.lines().filter_map(entry).collect()
}

/// The flag of each key that has one.
pub(super) fn find_flags(text: &str) -> BTreeMap<String, String> {
    let entry = |line: &str| {
        let mut parts = line.trim().strip_prefix("(\"")?.split('"');
        let (key, flag) = (parts.next()?, parts.nth(1)?);
        flag.starts_with("--").then(|| (key.to_owned(), flag.to_owned()))
    };
    text.lines().filter_map(entry).collect()
}

/// `a: b, c: d` up to the brace that closes it.
fn split_members(body: &str) -> Vec<(String, String)> {
    let (mut depth, mut member, mut members) = (0_i32, String::new(), Vec::new());
    for character in body.chars() {
        match character {
            '(' | '[' | '{' => depth += 1,
            '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if character == ',' && depth == 0 {
            members.push(std::mem::take(&mut member));
        } else {
            member.push(character);
        }
    }
    members.push(member);
    let pair = |member: &String| member.split_once(':').map(|(a, b)| (a.trim().to_owned(), b.trim().to_owned()));
    members.iter().filter_map(pair).collect()
}

/// The value of an expression in one of the forms that defaults are written in.
fn evaluate(expression: &str) -> Option<String> {
    let inner = |before: &str, after: &str| expression.strip_prefix(before)?.strip_suffix(after);
    if expression == "None" {
        return Some("none".to_owned());
    }
    if expression == "Vec::new()" {
        return Some("`[]`".to_owned());
    }
    if matches!(expression, "true" | "false") {
        return Some(format!("`{expression}`"));
    }
    if let Some(text) = inner("PathBuf::from(\"", "\")") {
        return Some(format!("`\"{text}\"`"));
    }
    if let Some((ip, port)) = inner("SocketAddr::from(([", "))").and_then(|rest| rest.split_once("], ")) {
        return Some(format!("`\"{}:{port}\"`", ip.replace(", ", ".")));
    }
    let is_path = |text: &str| text.chars().all(|c| c.is_alphanumeric());
    if let Some((_, variant)) = expression.split_once("::").filter(|(of, variant)| is_path(of) && is_path(variant)) {
        return Some(format!("`\"{}\"`", variant.to_lowercase()));
    }
    let factors = expression.split(" * ").map(|factor| factor.replace('_', "").parse::<i64>().ok());
    factors.product::<Option<i64>>().map(|number| format!("`{number}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_are_read_with_their_words_and_their_defaults() {
        let text = "/// What it is.\npub struct Http {\n    /// At most\n    /// so many.\n    #[serde(x)]\n    \
                    pub most: usize,\n    /// Where.\n    pub at: Option<String>,\n}\n\nimpl Default for Http {\n    \
                    fn default() -> Self {\n        Self { most: 30 * 1_000, at: None }\n    }\n}\n\
                    const KEYS: [(&str, Kind); 1] = [\n    (\"http.most\", Kind::Number),\n];";
        let structs = Structs::read(text);
        let fields = structs.find("Http").expect("is read");
        assert_eq!((fields[0].words.as_str(), fields[1].kind.as_str()), ("At most so many.", "Option<String>"));
        assert_eq!(structs.words_of("Http"), "What it is.");
        assert_eq!(structs.default_of("Http", &fields[0]).as_deref(), Ok("`30000`"));
        assert_eq!(structs.default_of("Http", &fields[1]).as_deref(), Ok("none"));
        assert_eq!(find_kinds(text)["http.most"], "integer");
    }

    #[test]
    fn defaults_are_evaluated_as_they_would_be_written() {
        for (expression, value) in [
            ("SocketAddr::from(([127, 0, 0, 1], 8080))", Some("`\"127.0.0.1:8080\"`")),
            ("PathBuf::from(\"./x\")", Some("`\"./x\"`")),
            ("LogFormat::Text", Some("`\"text\"`")),
            ("false", Some("`false`")),
            ("10_000", Some("`10000`")),
            ("what_it_is()", None),
        ] {
            assert_eq!(evaluate(expression).as_deref(), value, "{expression}");
        }
    }
}
