//! Reads JSON bodies and the configuration into types, with errors that say which field is wrong, and how.
//!
//! serde's own errors are texts that repeat what was sent. A document is therefore first parsed into a tree, which the
//! types are then read from with an error type of ours.

mod fault;
mod reading;

use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};

pub use self::fault::{Expected, Fault, Wrong, choices};

/// A parsed document. Objects may have several fields of the same name, which is an error when they are read.
#[derive(Debug)]
pub struct Document(Node);

#[derive(Debug)]
enum Node {
    Null,
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
