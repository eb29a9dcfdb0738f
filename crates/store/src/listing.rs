//! Many rows as one value, made by the database: on SQLite a JSON array of arrays, on PostgreSQL rows in its binary format.
//! Through sqlx, a row costs a change of threads on SQLite, and each of its values a microsecond, which is too slow for a
//! million clients.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use crate::binary_row;
use crate::entry::{EntryKind, Ids, Stored};
use crate::error::StoreError;
use crate::reading::in_time;

/// A query for the rows of a table.
pub(crate) struct Listing {
    /// The table, or a join under the name that `columns` uses.
    pub(crate) table: &'static str,
    /// The columns, ID first. A group of several columns becomes a nested array.
    pub(crate) columns: &'static [&'static [&'static str]],
    /// An optional last column of bytes, read as [`Bytes`].
    pub(crate) bytes: Option<&'static str>,
    /// The column with the IDs.
    pub(crate) id: &'static str,
    /// A further condition.
    pub(crate) only: &'static str,
    /// The order of the rows.
    pub(crate) order: &'static str,
}

/// An unreadable row. Only the entry that it belongs to is skipped.
#[derive(Clone, Debug)]
pub struct BrokenRow {
    /// The kind of the skipped entry.
    pub kind: EntryKind,
    /// Its ID.
    pub id: String,
    /// The table of the row.
    pub table: &'static str,
    /// The row's key.
    pub row: String,
}

/// The fetched rows of a listing, not parsed yet.
#[derive(Debug)]
pub(crate) struct Text {
    table: &'static str,
    is_postgres: bool,
    bytes: Option<Vec<u8>>,
}

/// A connection, with its engine.
pub(crate) struct Fetcher<'c> {
    pub(crate) connection: &'c mut AnyConnection,
    pub(crate) is_postgres: bool,
}

impl Fetcher<'_> {
    /// Fetches the rows that belong to these IDs.
    pub(crate) async fn fetch(&mut self, listing: &Listing, ids: &Ids) -> Result<Text, StoreError> {
        // Built only from constants.
        let statement = AssertSqlSafe(listing.statement(self.is_postgres));
        let query = sqlx::query(statement).bind(ids.first.clone()).bind(ids.last.clone());
        let row = in_time(listing.table, query.fetch_one(&mut *self.connection)).await?;
        Ok(Text { table: listing.table, is_postgres: self.is_postgres, bytes: row.try_get(0)? })
    }
}

/// Parses fetched rows of one kind, and collects the unreadable ones.
pub(crate) struct Reader {
    /// The kind of entries.
    pub(crate) kind: EntryKind,
    /// The unreadable rows.
    pub(crate) broken: Vec<BrokenRow>,
}

impl Reader {
    pub(crate) fn new(kind: EntryKind) -> Self {
        Self { kind, broken: Vec::new() }
    }

    /// Maps the columns of each row with `read`. The first column is the ID.
    pub(crate) fn read<T: DeserializeOwned, R>(
        &mut self,
        Text { table, is_postgres, bytes }: Text,
        read: impl Fn(T) -> Option<R>,
    ) -> Result<Vec<R>, StoreError> {
        let Some(bytes) = bytes else { return Ok(Vec::new()) };
        if is_postgres {
            return self.read_binary(table, &bytes, read);
        }
        let text = String::from_utf8_lossy(&bytes);
        let rows = serde_json::from_str::<Vec<T>>(&text).ok();
        match rows.and_then(|rows| rows.into_iter().map(&read).collect()) {
            Some(rows) => Ok(rows),
            None => self.read_each(table, &text, read),
        }
    }

    fn read_binary<T: DeserializeOwned, R>(
        &mut self,
        table: &'static str,
        bytes: &[u8],
        read: impl Fn(T) -> Option<R>,
    ) -> Result<Vec<R>, StoreError> {
        let broken = |row: &str| StoreError::Broken { table, row: row.to_owned() };
        let rows = binary_row::split(bytes).ok_or_else(|| broken("not in the binary format of PostgreSQL"))?;
        let mut good = Vec::with_capacity(rows.len());
        for mut row in rows {
            match row.read().and_then(&read) {
                Some(row) => good.push(row),
                None => {
                    let id = row.next_text().ok_or_else(|| broken("without an ID"))?;
                    self.note_broken(table, id, &row.next_text().unwrap_or_default());
                }
            }
        }
        Ok(good)
    }

    fn note_broken(&mut self, table: &'static str, id: String, named: &str) {
        self.broken.push(BrokenRow { kind: self.kind, row: format!("{id} {named}"), id, table });
    }

    /// Parses the readable rows, and records the others as broken.
    fn read_each<T: DeserializeOwned, R>(
        &mut self,
        table: &'static str,
        text: &str,
        read: impl Fn(T) -> Option<R>,
    ) -> Result<Vec<R>, StoreError> {
        let broken = |row: String| StoreError::Broken { table, row };
        let rows: Vec<Value> = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
        let mut good = Vec::new();
        for row in rows {
            let id = row[0].as_str().ok_or_else(|| broken(row[0].to_string()))?.to_owned();
            let named = row[1].as_str().unwrap_or_default().to_owned();
            match T::deserialize(row).ok().and_then(&read) {
                Some(row) => good.push(row),
                None => self.note_broken(table, id, &named),
            }
        }
        Ok(good)
    }

    /// Drops the entries that have a broken row.
    pub(crate) fn without_broken<T>(&self, entries: Vec<Stored<T>>, id: impl Fn(&T) -> &str) -> Vec<Stored<T>> {
        let is_broken = |id: &str| self.broken.iter().any(|broken| broken.kind == self.kind && broken.id == id);
        let is_whole = |entry: &Stored<T>| !is_broken(id(&entry.value));
        if self.broken.is_empty() { entries } else { entries.into_iter().filter(is_whole).collect() }
    }
}

impl Listing {
    fn statement(&self, is_postgres: bool) -> String {
        let Self { table, columns, bytes, id, only, order } = self;
        let rows = format!("(SELECT * FROM {table} WHERE {id} BETWEEN $1 AND $2{only} ORDER BY {order}) AS {table}");
        if is_postgres {
            let columns: Vec<&str> = columns.iter().copied().flatten().copied().chain(*bytes).collect();
            return format!(
                "SELECT STRING_AGG(record_send(ROW({})), CAST('' AS BYTEA)) FROM {rows}",
                columns.join(", ")
            );
        }
        let array = |columns: &[&str]| match columns {
            [column] => no_blob(column),
            columns => format!("JSON_ARRAY({})", columns.iter().map(no_blob).collect::<Vec<_>>().join(", ")),
        };
        let mut columns: Vec<String> = columns.iter().map(|columns| array(columns)).collect();
        columns.extend(bytes.map(|column| format!("HEX({column})")));
        // As bytes, because rows written by hand may not be UTF-8.
        format!("SELECT CAST(JSON_GROUP_ARRAY(JSON_ARRAY({})) AS BLOB) FROM {rows}", columns.join(", "))
    }
}

/// SQLite accepts blobs in text and number columns, but cannot convert them to JSON.
fn no_blob(column: &&str) -> String {
    format!("IIF(typeof({column}) = 'blob', NULL, {column})")
}

/// Bytes: in JSON, hexadecimal digits.
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return <&[u8]>::deserialize(deserializer).map(|bytes| Self(bytes.to_vec()));
        }
        let text = String::deserialize(deserializer)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |pair: &[u8; 2]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
        let bytes = text.as_bytes().as_chunks().0.iter().map(byte).collect::<Option<_>>();
        bytes.map(Self).ok_or_else(|| D::Error::custom("not hexadecimal digits"))
    }
}
