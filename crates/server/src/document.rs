//! Reads JSON bodies and the configuration into types, with errors that say which field is wrong, and how.
//!
//! serde's own errors are texts that repeat what was sent. A document is therefore first parsed into a tree, which the
//! types are then read from with an error type of ours.

mod fault;
mod reading;

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};

pub use self::fault::{Expected, Fault, Wrong, choices};

/// A parsed document. Objects may have several fields of the same name, which is an error when they are read.
#[derive(Debug)]
pub struct Document(Node);

#[derive(Debug)]
enum Node {
    /// As good as a missing field.
    Null,
    /// A `null` that only [`Nullable`] accepts.
    StrictNull,
    Switch(bool),
    Integer(i64),
    /// A number that is not in the range of `i64`.
    Huge,
    Fraction(f64),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Document {
    /// Reads a `T`, whose `Deserialize` must refuse unknown fields.
    ///
    /// # Errors
    ///
    /// The first field that is wrong. What was sent is not repeated, because it may be a secret.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, Fault> {
        T::deserialize(self.0)
    }

    /// The same, but `null` is only accepted for a [`Nullable`] field.
    ///
    /// # Errors
    ///
    /// As for [`Document::read`].
    pub fn read_strictly<T: DeserializeOwned>(self) -> Result<T, Fault> {
        T::deserialize(self.0.with_strict_nulls())
    }
}

/// A value that may be `null`, which is not the same as a missing field.
#[derive(Clone, Copy, Debug)]
pub struct Nullable<T>(pub Option<T>);

const NULLABLE: &str = "Nullable";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Nullable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(NULLABLE, MaybeNull(PhantomData))
    }
}

struct MaybeNull<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for MaybeNull<T> {
    type Value = Nullable<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_unit<E>(self) -> Result<Nullable<T>, E> {
        Ok(Nullable(None))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Nullable<T>, D::Error> {
        T::deserialize(deserializer).map(|value| Nullable(Some(value)))
    }
}

impl Node {
    fn with_strict_nulls(self) -> Self {
        match self {
            Self::Null => Self::StrictNull,
            Self::List(items) => Self::List(items.into_iter().map(Self::with_strict_nulls).collect()),
            Self::Object(entries) => {
                Self::Object(entries.into_iter().map(|(name, value)| (name, value.with_strict_nulls())).collect())
            }
            other => other,
        }
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Node::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Parsing)
    }
}

struct Parsing;

impl<'de> Visitor<'de> for Parsing {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Switch(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(i64::try_from(value).map_or(Node::Huge, Node::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Fraction(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut object = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            object.push(entry);
        }
        Ok(Node::Object(object))
    }
}
