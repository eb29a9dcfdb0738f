//! Many rows as one: a JSON array of arrays, made by the database. On its way through sqlx a row costs a change of threads, and
//! each of its values a microsecond, which a million clients feel.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use crate::error::StoreError;
use crate::load::Ids;
use crate::reading::in_time;

/// What is read of a table.
pub(crate) struct Listing {
    /// The table, or tables; its name is that of the rows in `columns`.
    pub(crate) table: &'static str,
    /// What is read of each row; some of it may be a `JSON_ARRAY` of its own.
    pub(crate) columns: &'static str,
    /// A last column of bytes, if there is one: [`Hex`].
    pub(crate) bytes: Option<&'static str>,
    /// The column with the ids.
    pub(crate) id: &'static str,
    /// Which rows, beside those of the ids.
    pub(crate) only: &'static str,
    /// The order of the rows.
    pub(crate) order: &'static str,
}

/// A connection, and which engine it is to.
pub(crate) struct Reader<'c> {
    pub(crate) connection: &'c mut AnyConnection,
    pub(crate) is_postgres: bool,
}

impl Reader<'_> {
    /// The rows that belong to these ids, each as a tuple of its columns.
    pub(crate) async fn list<T: DeserializeOwned>(
        &mut self,
        listing: &Listing,
        ids: &Ids,
    ) -> Result<Vec<T>, StoreError> {
        // Made of constants only.
        let statement = AssertSqlSafe(listing.statement(self.is_postgres));
        let query = sqlx::query(statement).bind(ids.first.clone()).bind(ids.last.clone());
        let row = in_time(listing.table, query.fetch_one(&mut *self.connection)).await?;
        let Some(text) = row.try_get::<Option<String>, _>(0)? else { return Ok(Vec::new()) };
        serde_json::from_str(&text).map_err(|error| StoreError::Broken { table: listing.table, row: error.to_string() })
    }
}

impl Listing {
    fn statement(&self, is_postgres: bool) -> String {
        let Self { table, columns, bytes, id, only, order } = self;
        let rows = format!("(SELECT * FROM {table} WHERE {id} BETWEEN $1 AND $2{only} ORDER BY {order}) AS {table}");
        if is_postgres {
            let bytes = bytes.map(|column| format!(", ENCODE({column}, 'hex')")).unwrap_or_default();
            let columns = columns.replace("JSON_ARRAY(", "JSON_BUILD_ARRAY(");
            format!("SELECT CAST(JSON_AGG(JSON_BUILD_ARRAY({columns}{bytes})) AS TEXT) FROM {rows}")
        } else {
            let bytes = bytes.map(|column| format!(", HEX({column})")).unwrap_or_default();
            format!("SELECT JSON_GROUP_ARRAY(JSON_ARRAY({columns}{bytes})) FROM {rows}")
        }
    }
}

/// Bytes, written in hexadecimal digits.
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |pair: &[u8; 2]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
        let bytes = text.as_bytes().as_chunks().0.iter().map(byte).collect::<Option<_>>();
        bytes.map(Self).ok_or_else(|| D::Error::custom("these are no bytes"))
    }
}
