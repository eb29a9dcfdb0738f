//! Rows in PostgreSQL's binary format (`record_send`): the number of columns, then of each its type, its length (-1 for
//! NULL), and its value. Numbers are big-endian; texts and bytes are as they are.
//!
//! A row is read by serde as a tuple. Tuples inside it take the columns that follow.

use serde::de::value::Error;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

/// Splits bytes into rows. Returns `None` if they do not end with a row.
pub(crate) fn split(bytes: &[u8]) -> Option<Vec<Row<'_>>> {
    let (mut rows, mut left) = (Vec::new(), Row(bytes));
    while !left.0.is_empty() {
        let columns = left.take_number()?;
        let begin = left.0;
        for _ in 0..columns {
            left.take_column()?;
        }
        rows.push(Row(begin.get(..begin.len() - left.0.len())?));
    }
    Some(rows)
}

/// The columns of a row that are left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'de>(&'de [u8]);

impl<'de> Row<'de> {
    /// Reads the row.
    pub(crate) fn read<T: Deserialize<'de>>(mut self) -> Option<T> {
        T::deserialize(&mut self).ok().filter(|_| self.0.is_empty())
    }

    /// Returns the next column as text, for messages.
    pub(crate) fn next_text(&mut self) -> Option<String> {
        self.take_column()?.map(|text| String::from_utf8_lossy(text).into_owned())
    }

    fn take(&mut self, length: usize) -> Option<&'de [u8]> {
        let (taken, left) = self.0.split_at_checked(length)?;
        self.0 = left;
        Some(taken)
    }

    fn take_number(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// Takes the next column, which may be NULL.
    fn take_column(&mut self) -> Option<Option<&'de [u8]>> {
        let _type = self.take_number()?;
        match self.take_number()? {
            -1 => Some(None),
            length => self.take(usize::try_from(length).ok()?).map(Some),
        }
    }

    /// Takes the next column, which is not NULL.
    fn take_value(&mut self) -> Result<&'de [u8], Error> {
        self.take_column().flatten().ok_or_else(|| Error::custom("a value is missing"))
    }
}

impl<'de> Deserializer<'de> for &mut Row<'de> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let number = self.take_value()?.try_into().map_err(Error::custom)?;
        visitor.visit_i64(i64::from_be_bytes(number))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(std::str::from_utf8(self.take_value()?).map_err(Error::custom)?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_bytes(self.take_value()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut after = *self;
        match after.take_column() {
            Some(None) => {
                *self = after;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(self)
    }

    /// No column is read without a type.
    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("the type of a column is not one of ours"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 u8 u16 u32 u64 f32 f64 char byte_buf unit unit_struct newtype_struct seq tuple_struct map struct
        enum identifier ignored_any
    }
}

impl<'de> SeqAccess<'de> for &mut Row<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        seed.deserialize(&mut **self).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &[Option<&[u8]>]) -> Vec<u8> {
        let mut bytes = i32::try_from(columns.len()).expect("few").to_be_bytes().to_vec();
        for column in columns {
            bytes.extend([0, 0, 0, 25]);
            let length = column.map_or(-1, |value| i32::try_from(value.len()).expect("short"));
            bytes.extend(length.to_be_bytes());
            bytes.extend(column.unwrap_or_default());
        }
        bytes
    }

    type Whole<'de> = (String, Option<i64>, (i64, &'de str));

    #[test]
    fn a_row_is_a_tuple_and_tuples_in_it_take_the_columns_that_follow() {
        let seven = 7_i64.to_be_bytes();
        let mut bytes = row(&[Some(b"a"), None, Some(&seven), Some(b"")]);
        bytes.extend(row(&[Some(b"b"), Some(&seven), Some(&seven), Some("ü".as_bytes())]));
        let rows = split(&bytes).expect("whole rows");
        let read: Vec<_> = rows.iter().map(|row| row.read::<Whole<'_>>()).collect();
        assert_eq!(read, [Some(("a".to_owned(), None, (7, ""))), Some(("b".to_owned(), Some(7), (7, "ü")))]);
        assert_eq!(rows[0].read::<(String, Option<i64>)>(), None, "there are more columns");
        assert_eq!(rows[0].read::<(String, i64, (i64, &str))>(), None, "NULL");
        assert_eq!(rows[0].clone().next_text().as_deref(), Some("a"));
    }

    #[test]
    fn whatever_bytes_come_they_are_rows_or_refused() {
        let bytes = row(&[Some(b"a"), None]);
        for length in 0..=bytes.len() {
            let rows = split(&bytes[..length]);
            assert_eq!(rows.map(|rows| rows.len()), [0, bytes.len()].contains(&length).then_some(length / bytes.len()));
        }
        for huge in [[0x7f, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0xfe]] {
            let mut bytes = row(&[Some(b"abcd")]);
            bytes[8..12].copy_from_slice(&huge);
            assert!(split(&bytes).is_none());
            bytes[..4].copy_from_slice(&huge);
            assert!(split(&bytes).is_none_or(|rows| rows.is_empty() || rows.len() == 1));
        }
        assert!(split(&row(&[Some(b"\xff")])).expect("a row")[0].read::<(String,)>().is_none(), "no UTF-8");
    }
}
