//! Columns that contain lists of words, separated by single spaces.

use countersign_protocol::grant_type::{GrantType, GrantTypes};

/// Splits a list column into words.
pub(crate) fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(' ').filter(|word| !word.is_empty())
}

/// Joins words into a list column.
pub(crate) fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

/// Parses the grant types of a list column. `None` if one is unknown.
pub(crate) fn read_grants(grants: &str) -> Option<GrantTypes> {
    words(grants).map(|word| GrantType::parse(word).ok()).collect()
}
