//! Copies every row into another database, on the same engine or the other one, and compares both.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::TryStreamExt;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use crate::database::Store;
use crate::error::StoreError;
use crate::reading::in_time;
use crate::statement::{placeholders, statements};

/// The number of rows per insert. A longer statement is slower again.
const ROWS_AT_ONCE: usize = 100;

/// Every table, after those that it refers to. Heartbeats are not copied, because no node is running. Nor are deletions,
/// because nodes load everything at a start.
const TABLES: [&str; 30] = [
    "change_counter",
    "settings",
    "identity",
    "apis",
    "scopes",
    "names",
    "clients",
    "credentials",
    "entitlements",
    "users",
    "second_factors",
    "signing_keys",
    "previous_sealing_keys",
    "refresh_families",
    "refresh_tokens",
    "revocations",
    "sessions",
    "session_tokens",
    "sign_ins",
    "playground_settings",
    "leases",
    "credential_uses",
    "audit",
    "token_counts",
    "refusals",
    "refusal_counts",
    "removals",
    "password_failures",
    "known_devices",
    "code_failures",
];

/// The last change of a row. Triggers set it anew in the copy.
const LAST_CHANGE: &str = "last_change";

statements! {
    FIND_USED = "SELECT 1 FROM clients UNION ALL SELECT 1 FROM users UNION ALL SELECT 1 FROM signing_keys \
         UNION ALL SELECT 1 FROM audit LIMIT 1";
}

/// The result of copying a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedTable {
    /// Its name.
    pub table: &'static str,
    /// Its number of rows.
    pub rows: u64,
    /// The sum of its rows' SHA-256 hashes, independent of order and engine.
    pub hash: TableHash,
}

/// A sum of hashes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct TableHash([u64; 4]);

impl TableHash {
    fn add(&mut self, row: &[Value]) {
        let mut context = Context::new(&SHA256);
        for value in row {
            value.feed(&mut context);
        }
        let digest = context.finish();
        for (sum, word) in self.0.iter_mut().zip(digest.as_ref().as_chunks().0) {
            *sum = sum.wrapping_add(u64::from_be_bytes(*word));
        }
    }
}

impl fmt::Display for TableHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|word| write!(f, "{word:016x}"))
    }
}

impl fmt::Debug for TableHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A column, as both engines declare it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Bytes,
}

impl Kind {
    fn parse(declared: &str) -> Option<Self> {
        match declared.to_ascii_uppercase().as_str() {
            "BIGINT" => Some(Self::Number),
            "TEXT" => Some(Self::Text),
            "BLOB" | "BYTEA" => Some(Self::Bytes),
            _ => None,
        }
    }

    fn read(self, row: &AnyRow, index: usize) -> Result<Value, sqlx::Error> {
        Ok(match self {
            Self::Number => Value::Number(row.try_get(index)?),
            Self::Text => Value::Text(row.try_get(index)?),
            Self::Bytes => Value::Bytes(row.try_get(index)?),
        })
    }
}

enum Value {
    Number(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl Value {
    /// Hashes the type, the length and the bytes, so that different rows never hash the same input.
    fn feed(&self, context: &mut Context) {
        let mut part = |tag: u8, bytes: &[u8]| {
            context.update(&[tag]);
            context.update(&bytes.len().to_be_bytes());
            context.update(bytes);
        };
        match self {
            Self::Number(Some(number)) => part(1, &number.to_be_bytes()),
            Self::Text(Some(text)) => part(2, text.as_bytes()),
            Self::Bytes(Some(bytes)) => part(3, bytes),
            Self::Number(None) | Self::Text(None) | Self::Bytes(None) => part(0, &[]),
        }
    }
}

impl Store {
    /// True if nothing was ever stored in this database.
    pub async fn is_unused(&self) -> Result<bool, StoreError> {
        Ok(sqlx::query(FIND_USED).fetch_optional(self.reader()).await?.is_none())
    }

    /// Copies every row into an unused database, and compares the result. The copy is invisible until [`Transfer::commit`].
    pub async fn copy_into(&self, target: &Self) -> Result<Transfer, StoreError> {
        let mut source = self.begin_snapshot().await?;
        let mut writing = target.begin_long_write().await?;
        for table in TABLES.into_iter().rev() {
            let delete = AssertSqlSafe(format!("DELETE FROM {table}"));
            sqlx::query(delete).execute(&mut *writing).await?;
        }
        let mut copied = Vec::new();
        for table in TABLES {
            let columns = self.list_columns(&mut source, table).await?;
            if target.list_columns(&mut writing, table).await? != columns {
                return Err(StoreError::Migration(format!("the columns of table {table} differ")));
            }
            let of_source = read_table(&mut source, table, &columns, Some(&mut writing)).await?;
            if read_table(&mut writing, table, &columns, None).await? != of_source {
                return Err(StoreError::Migration(format!("the copy of table {table} differs")));
            }
            copied.push(of_source);
        }
        Ok(Transfer { writing, tables: copied })
    }

    /// Lists the columns of a table, sorted by name, without [`LAST_CHANGE`].
    async fn list_columns(
        &self,
        transaction: &mut Transaction<'static, Any>,
        table: &'static str,
    ) -> Result<Vec<Column>, StoreError> {
        let statement = if self.is_shared() {
            "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT) FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1"
        } else {
            "SELECT name, type FROM pragma_table_info($1)"
        };
        let mut columns = Vec::new();
        for row in sqlx::query(statement).bind(table).fetch_all(&mut **transaction).await? {
            let (name, declared): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            if name == LAST_CHANGE {
                continue;
            }
            let kind = Kind::parse(&declared);
            let kind =
                kind.ok_or_else(|| StoreError::Migration(format!("{table}.{name}: unsupported type {declared}")))?;
            columns.push(Column { name, kind });
        }
        columns.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(columns)
    }
}

/// A complete copy that is not visible yet.
#[derive(Debug)]
pub struct Transfer {
    writing: Transaction<'static, Any>,
    /// The copied tables.
    pub tables: Vec<CopiedTable>,
}

impl Transfer {
    /// Commits the copy durably.
    pub async fn commit(self) -> Result<Vec<CopiedTable>, StoreError> {
        self.writing.commit().await?;
        Ok(self.tables)
    }
}

/// Reads a table, and inserts its rows into another database, if given.
async fn read_table(
    transaction: &mut Transaction<'static, Any>,
    table: &'static str,
    columns: &[Column],
    mut writing: Option<&mut Transaction<'static, Any>>,
) -> Result<CopiedTable, StoreError> {
    let select = AssertSqlSafe(format!("SELECT {} FROM {table}", names(columns)));
    let mut reading = sqlx::query(select).fetch(&mut **transaction);
    let mut read = CopiedTable { table, rows: 0, hash: TableHash::default() };
    let mut rows = Vec::new();
    while let Some(row) = in_time(table, reading.try_next()).await? {
        let row = read_row(&row, columns)?;
        read.rows += 1;
        read.hash.add(&row);
        let Some(writing) = writing.as_deref_mut() else { continue };
        rows.push(row);
        if rows.len() == ROWS_AT_ONCE {
            insert(writing, table, columns, std::mem::take(&mut rows)).await?;
        }
    }
    if let Some(writing) = writing {
        insert(writing, table, columns, rows).await?;
    }
    Ok(read)
}

async fn insert(
    writing: &mut Transaction<'static, Any>,
    table: &'static str,
    columns: &[Column],
    rows: Vec<Vec<Value>>,
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let is_whole = rows.len() == ROWS_AT_ONCE;
    let values = placeholders(rows.len(), columns.len());
    let statement = AssertSqlSafe(format!("INSERT INTO {table} ({}) VALUES {values}", names(columns)));
    let mut query = sqlx::query(statement);
    for value in rows.into_iter().flatten() {
        query = match value {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
            Value::Bytes(bytes) => query.bind(bytes),
        };
    }
    query.persistent(is_whole).execute(&mut **writing).await?;
    Ok(())
}

fn read_row(row: &AnyRow, columns: &[Column]) -> Result<Vec<Value>, StoreError> {
    let read = |(index, column): (usize, &Column)| column.kind.read(row, index);
    Ok(columns.iter().enumerate().map(read).collect::<Result<_, _>>()?)
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::fresh;

    #[tokio::test]
    async fn every_table_is_copied() {
        let (_database, url) = fresh();
        let store = Store::open(&url).await.expect("opens");
        let statement = if store.is_shared() {
            "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema()"
        } else {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        };
        let rows = sqlx::query(statement).fetch_all(store.reader()).await.expect("reads");
        let mut found: Vec<String> = rows.iter().map(|row| row.try_get(0).expect("a name")).collect();
        found.retain(|name| !["_sqlx_migrations", "nodes", "deletions"].contains(&name.as_str()));
        let mut listed = TABLES.map(str::to_owned).to_vec();
        listed.sort_unstable();
        found.sort_unstable();
        assert_eq!(listed, found);
    }

    #[test]
    fn any_difference_changes_the_hash() {
        let text = |text: &str| Value::Text(Some(text.to_owned()));
        let hash = |rows: &[Vec<Value>]| {
            let mut hash = TableHash::default();
            rows.iter().for_each(|row| hash.add(row));
            hash.to_string()
        };
        let of = |one: Value, other: Value| vec![one, other];
        let rows = [of(text("a"), text("b")), of(Value::Number(Some(1)), Value::Bytes(None))];
        let turned = [of(Value::Number(Some(1)), Value::Bytes(None)), of(text("a"), text("b"))];
        assert_eq!(hash(&rows), hash(&turned), "the order does not matter");
        let others = [
            vec![of(text("ab"), text(""))],
            vec![of(text("a"), text("b"))],
            vec![of(Value::Bytes(Some(b"a".to_vec())), text("b"))],
            vec![of(Value::Text(None), text("b"))],
            vec![of(text(""), text("b"))],
            vec![],
        ];
        let mut hashes: Vec<String> = others.iter().map(|rows| hash(rows)).collect();
        hashes.push(hash(&rows));
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), others.len() + 1);
    }
}
