//! How SQL is written here: named constants with numbered placeholders in the order they appear.

/// Declares named statements, and `STATEMENTS`, the list of them.
macro_rules! statements {
    ($($name:ident = $sql:literal;)+) => {
        $(const $name: &str = $sql;)+
        pub(crate) const STATEMENTS: &[&str] = &[$($name),+];
    };
}

pub(crate) use statements;

/// Rows that one statement takes. A statement costs far more than a row of it; but SQLite looks through the names of all
/// its placeholders for each, so that too many cost more again.
pub(crate) const BATCH_ROWS: usize = 10;

/// Placeholders for so many rows of so many columns: `($1, $2), ($3, $4)`.
pub(crate) fn placeholders(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let columns: Vec<_> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", columns.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}
