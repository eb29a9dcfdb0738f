//! How SQL is written here: named constants with numbered placeholders in the order they appear.

/// Declares named statements, and `STATEMENTS`, the list of them.
macro_rules! statements {
    ($($name:ident = $sql:literal;)+) => {
        $(const $name: &str = $sql;)+
        pub(crate) const STATEMENTS: &[&str] = &[$($name),+];
    };
}

pub(crate) use statements;

/// The words of a list column.
pub(crate) fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(' ').filter(|word| !word.is_empty())
}

/// A list column of these words.
pub(crate) fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}
