//! Columns that hold lists: words, separated by one space.

use countersign_protocol::grant_type::{GrantType, GrantTypes};

/// The words of a list column.
pub(crate) fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(' ').filter(|word| !word.is_empty())
}

/// A list column of these words.
pub(crate) fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

/// The grant types of a list column; `None` if one is unknown.
pub(crate) fn read_grants(grants: &str) -> Option<GrantTypes> {
    words(grants).map(|word| GrantType::parse(word).ok()).collect()
}
