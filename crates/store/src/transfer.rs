//! Copies every row into another database, on the same engine or the other one, and compares both.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::TryStreamExt;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use crate::database::Store;
use crate::error::StoreError;
use crate::reading::in_time;
use crate::settings::{delete_moved_to, set_moved_to};
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

    /// Prevents all other writes to this database until the result is dropped, so that a node that starts in the meantime
    /// acknowledges nothing that a copy does not contain.
    pub async fn hold_writes(&self) -> Result<HeldWrites, StoreError> {
        let mut transaction = self.begin_long_write().await?;
        if self.is_shared() {
            sqlx::query("SET LOCAL lock_timeout = 5000").execute(&mut *transaction).await?;
            // Reads continue. Nodes without a heartbeat cannot start.
            let lock = format!("LOCK TABLE nodes, {} IN SHARE ROW EXCLUSIVE MODE", TABLES.join(", "));
            sqlx::query(AssertSqlSafe(lock)).execute(&mut *transaction).await?;
        }
        Ok(HeldWrites { transaction })
    }

    /// Copies every row into an unused database, and compares the result. The copy is invisible until [`Transfer::commit`].
    pub async fn copy_into(&self, target: &Self) -> Result<Transfer, CopyError> {
        let [first, ..] = TABLES;
        let mut source = self.begin_snapshot().await.map_err(Side::Source.of(first))?;
        let mut writing = target.begin_long_write().await.map_err(Side::Target.of(first))?;
        for table in TABLES.into_iter().rev() {
            let delete = AssertSqlSafe(format!("DELETE FROM {table}"));
            let deleted = sqlx::query(delete).execute(&mut *writing).await;
            deleted.map_err(|error| Side::Target.of(table)(error.into()))?;
        }
        let mut copied = Vec::new();
        for table in TABLES {
            let columns = self.list_columns(&mut source, table).await.map_err(Side::Source.of(table))?;
            let there = target.list_columns(&mut writing, table).await.map_err(Side::Target.of(table))?;
            if there != columns {
                return Err(Side::Target.of(table)(StoreError::Migration("the columns differ".to_owned())));
            }
            let of_source = read_table((Side::Source, &mut source), table, &columns, Some(&mut writing)).await?;
            if read_table((Side::Target, &mut writing), table, &columns, None).await? != of_source {
                return Err(Side::Target.of(table)(StoreError::Migration("the copy differs".to_owned())));
            }
            copied.push(of_source);
        }
        // The mark of an earlier copy only applies to the source.
        delete_moved_to(&mut writing).await.map_err(Side::Target.of("settings"))?;
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

/// Prevents writes to a source while it exists.
#[derive(Debug)]
pub struct HeldWrites {
    transaction: Transaction<'static, Any>,
}

impl HeldWrites {
    /// Marks the database as moved, and allows writes again. Nodes that still use it see the mark when they next read the
    /// change counter.
    pub async fn mark_moved(mut self, to: &str) -> Result<(), StoreError> {
        set_moved_to(&mut self.transaction, to).await?;
        Ok(self.transaction.commit().await?)
    }
}

/// Why a table was not copied.
#[derive(Debug, thiserror::Error)]
#[error("table {table} in the {side} database: {error}")]
pub struct CopyError {
    side: Side,
    table: &'static str,
    error: StoreError,
}

/// One of the two databases.
#[derive(Clone, Copy, Debug, strum::Display)]
#[strum(serialize_all = "snake_case")]
enum Side {
    Source,
    Target,
}

impl Side {
    /// Adds to an error where it happened.
    fn of(self, table: &'static str) -> impl FnOnce(StoreError) -> CopyError {
        move |error| CopyError { side: self, table, error }
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

/// Reads a table, and inserts its rows into the target, if given.
async fn read_table(
    (side, transaction): (Side, &mut Transaction<'static, Any>),
    table: &'static str,
    columns: &[Column],
    mut writing: Option<&mut Transaction<'static, Any>>,
) -> Result<CopiedTable, CopyError> {
    let select = AssertSqlSafe(format!("SELECT {} FROM {table}", names(columns)));
    let mut reading = sqlx::query(select).fetch(&mut **transaction);
    let mut read = CopiedTable { table, rows: 0, hash: TableHash::default() };
    let mut rows = Vec::new();
    while let Some(row) = in_time(table, reading.try_next()).await.map_err(side.of(table))? {
        let row = read_row(&row, columns).map_err(side.of(table))?;
        read.rows += 1;
        read.hash.add(&row);
        let Some(writing) = writing.as_deref_mut() else { continue };
        rows.push(row);
        if rows.len() == ROWS_AT_ONCE {
            insert(writing, table, columns, std::mem::take(&mut rows)).await.map_err(Side::Target.of(table))?;
        }
    }
    if let Some(writing) = writing {
        insert(writing, table, columns, rows).await.map_err(Side::Target.of(table))?;
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
