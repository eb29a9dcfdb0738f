//! Escapes untrusted text, so that a terminal only displays it.
//!
//! Terminals interpret control characters, which move the cursor, overwrite earlier lines and set the clipboard.
//! Format characters reorder or hide the text around them (Trojan Source, CVE-2021-42574).

use std::borrow::Cow;
use std::fmt::Write;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Returns true for a character that a terminal interprets, or that reorders or hides the text around it.
pub(crate) fn is_deceptive(character: char) -> bool {
    use GeneralCategory as C;
    let format = [C::Control, C::Format, C::LineSeparator, C::ParagraphSeparator];
    !matches!(character, ' '..='~') && format.contains(&character.general_category())
}

/// Returns the text with each such character escaped as in Rust: `\u{1b}`, `\n`. Escaping twice changes nothing.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    replace(text, |escaped, character| write!(escaped, "{}", character.escape_default()))
}

/// Returns the JSON text with each such character as a JSON escape. Its value stays the same.
pub(crate) fn escape_json(json: &str) -> Cow<'_, str> {
    replace(json, |escaped, character| {
        character.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(escaped, "\\u{unit:04x}"))
    })
}

fn replace(text: &str, mut escape: impl FnMut(&mut String, char) -> std::fmt::Result) -> Cow<'_, str> {
    if !text.contains(is_deceptive) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match is_deceptive(character) {
            // Writing to a string cannot fail.
            true => drop(escape(&mut escaped, character)),
            false => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_format_characters_are_escaped() {
        for (text, shown) in [
            ("plain ~ é 漢 🙂 e\u{301}", "plain ~ é 漢 🙂 e\u{301}"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("a\r\n\tb\u{7f}", "a\\r\\n\\tb\\u{7f}"),
            ("\u{9b}2J\u{85}", "\\u{9b}2J\\u{85}"),
            ("user\u{202e}txt.exe\u{2066}\u{2069}", "user\\u{202e}txt.exe\\u{2066}\\u{2069}"),
            ("a\u{200b}\u{200d}\u{200f}\u{61c}\u{ad}b", "a\\u{200b}\\u{200d}\\u{200f}\\u{61c}\\u{ad}b"),
            ("\u{feff}\u{2028}\u{2029}\u{e0041}", "\\u{feff}\\u{2028}\\u{2029}\\u{e0041}"),
        ] {
            assert_eq!(escape(text), shown);
            assert_eq!(escape(shown), shown, "escaping twice changes nothing");
        }
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let value = serde_json::json!({ "a\u{202e}": ["\u{1b}[2J\u{9b}\u{7f}", "\u{e0041}\n", "é \\u0041"] });
        let text = value.to_string();
        let escaped = escape_json(&text);
        assert!(!escaped.contains(is_deceptive), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).expect("JSON"), value);
    }
}
