//! SQL statements as named constants, with placeholders numbered in order.

/// Declares named statements, and `STATEMENTS`, which lists them.
macro_rules! statements {
    ($($name:ident = $sql:literal;)+) => {
        $(const $name: &str = $sql;)+
        pub(crate) const STATEMENTS: &[&str] = &[$($name),+];
    };
}

pub(crate) use statements;

/// The number of rows in one statement. A statement costs far more than a row, but SQLite compares the names of all its
/// placeholders, so a long statement is slow too.
pub(crate) const BATCH_ROWS: usize = 10;

/// Returns placeholders for rows of columns: `($1, $2), ($3, $4)`.
pub(crate) fn placeholders(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let columns: Vec<_> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", columns.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}
