//! Which characters are allowed in names. Invisible or confusable characters would let one name pass for another.
//!
//! This is only checked on input. Stored names can always be loaded.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Characters that look blank or have no meaning of their own, although their category is symbol, letter or mark:
/// braille, a null notehead, a Khitan filler, Egyptian blanks, a Tifinagh joiner, and replaced objects and characters.
const BLANKS: [char; 8] =
    ['\u{2800}', '\u{1D159}', '\u{16FE4}', '\u{13441}', '\u{13442}', '\u{2D7F}', '\u{FFFC}', '\u{FFFD}'];
/// More marks on one letter would cover its neighbors. Scripts need four at most.
const MAX_MARKS: usize = 4;

/// True for an identifier: every character is visible, and the text is stable under NFKC, so that no other spelling of
/// it looks the same (UAX #15, UAX #31).
pub(crate) fn is_identifier(text: &str) -> bool {
    text.chars().all(|char| is_visible(char) && !is_format(char))
        && !text.starts_with(is_mark)
        && !text.chars().collect::<Vec<_>>().windows(MAX_MARKS + 1).any(|chars| chars.iter().all(|char| is_mark(*char)))
        && ComposingNormalizerBorrowed::new_nfkc().is_normalized(text)
}

/// True for a line of text for people. Joiners and symbols are allowed, because many scripts use them. Control
/// characters, tags, direction changes and invisible characters are not.
pub(crate) fn is_line(text: &str) -> bool {
    text.chars().all(is_plain)
}

/// True if a part of the text is visible.
pub(crate) fn is_anything_visible(text: &str) -> bool {
    text.chars().any(is_visible)
}

fn is_plain(char: char) -> bool {
    let turns = matches!(char, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let is_unseen = matches!(char, '\u{AD}' | '\u{180E}' | '\u{200B}' | '\u{2060}'..='\u{2065}' | '\u{FEFF}');
    let is_tag = matches!(char, '\u{E0000}'..='\u{E007F}');
    !char.is_control() && !turns && !is_unseen && !is_tag
}

fn is_visible(char: char) -> bool {
    let is_ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(char);
    !char.is_control() && !char.is_whitespace() && !is_ignorable && !BLANKS.contains(&char)
}

/// True for a mark that is drawn on the preceding character.
fn is_mark(char: char) -> bool {
    matches!(
        CodePointMapData::<GeneralCategory>::new().get(char),
        GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark | GeneralCategory::SpacingMark
    )
}

/// True for format characters and for private or unassigned code points.
fn is_format(char: char) -> bool {
    matches!(
        CodePointMapData::<GeneralCategory>::new().get(char),
        GeneralCategory::Format
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_contains_no_confusable_characters() {
        for good in ["ada", "Ada.Lovelace", "ada@example.com", "josé", "Łukasz", "明美", "мария", "मीरा"]
        {
            assert!(is_identifier(good), "{good}");
        }
        for bad in [
            "ada\u{200D}",                          // zero width joiner
            "\u{3164}",                             // hangul filler
            "ada\u{2800}",                          // braille blank
            "ada\u{E0001}",                         // language tag
            "ada\u{E0061}",                         // tag letter
            "ada\u{FE0F}",                          // variation selector
            "ada\u{34F}",                           // combining grapheme joiner
            "ada\u{115F}",                          // hangul choseong filler
            "ada\u{FFF9}",                          // interlinear annotation
            "ada\u{E000}",                          // private use
            "ada\u{378}",                           // unassigned
            "ada lovelace",                         // a space
            "\u{FB01}fi",                           // a ligature
            "ada\u{B2}",                            // superscript two
            "\u{FF21}da",                           // fullwidth A
            "jose\u{301}",                          // a letter and its accent, which compose
            "\u{303}ada",                           // a mark without a base
            "ada\u{1D159}",                         // null notehead
            "ada\u{16FE4}",                         // Khitan filler
            "ada\u{FFFC}",                          // object replacement
            "a\u{334}\u{334}\u{334}\u{334}\u{334}", // stacked marks
            "ada\u{13441}",                         // Egyptian blank
            "\u{212A}elvin",                        // Kelvin sign
        ] {
            assert!(!is_identifier(bad), "{bad:?}");
        }
    }

    #[test]
    fn display_text_may_contain_joiners_and_symbols_but_nothing_invisible_or_reversing() {
        for good in ["½ price ™", "👩\u{200D}🚒 brigade", "می\u{200C}خواهم", "Ops ☎\u{FE0F}", ""] {
            assert!(is_line(good), "{good}");
        }
        for bad in ["a\u{7}b", "a\u{9B}b", "a\u{202E}b", "a\u{E0041}b", "a\u{E0001}", "a\u{200B}b", "a\u{2028}b"] {
            assert!(!is_line(bad), "{bad:?}");
        }
        assert!(!is_anything_visible("\u{3164} \u{2800}\u{200D}") && is_anything_visible("\u{2800}a"));
    }
}
