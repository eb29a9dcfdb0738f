//! Reads types from a parsed document.

use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{Expected, Fault, NULLABLE, Node, Wrong};

/// Numbers above this may have been rounded before they arrived (RFC 8259 §6).
const LARGEST_EXACT: f64 = 9_007_199_254_740_991.0;

macro_rules! read_integers {
    ($($method:ident)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.visit_i64(self.into_integer()?)
        })+
    };
}

impl<'de> Deserializer<'de> for Node {
    type Error = Fault;

    read_integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Switch(value) => visitor.visit_bool(value),
            _ => Err(not_a(Expected::Switch)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Text(text) => visitor.visit_string(text),
            _ => Err(not_a(Expected::Text)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_string(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_string(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Null => visitor.visit_none(),
            some => visitor.visit_some(some),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Null | Self::StrictNull if name == NULLABLE => visitor.visit_unit(),
            value => visitor.visit_newtype_struct(value),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::List(items) => visitor.visit_seq(Items { items: items.into_iter(), position: 0 }),
            _ => Err(not_a(Expected::List)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Object(entries) => visitor.visit_map(Entries { entries: entries.into_iter(), value: None }),
            _ => Err(not_a(Expected::Object)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        // Otherwise, serde would also accept a list of the fields' values.
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self {
            Self::Text(variant) => visitor.visit_enum(StringDeserializer::new(variant)),
            _ => Err(not_a(Expected::Text)),
        }
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Null | Self::StrictNull => visitor.visit_unit(),
            Self::Switch(value) => visitor.visit_bool(value),
            Self::Integer(value) => visitor.visit_i64(value),
            Self::Huge => Err(Fault::new(Wrong::OutOfRange)),
            Self::Fraction(value) => visitor.visit_f64(value),
            Self::Text(text) => visitor.visit_string(text),
            list @ Self::List(_) => list.deserialize_seq(visitor),
            object @ Self::Object(_) => object.deserialize_map(visitor),
        }
    }

    forward_to_deserialize_any! { f32 f64 bytes byte_buf unit unit_struct tuple_struct ignored_any }
}

impl Node {
    /// The value as an integer. `1.0` is the integer 1, as in JSON Schema.
    fn into_integer(self) -> Result<i64, Fault> {
        match self {
            Self::Integer(value) => Ok(value),
            Self::Huge => Err(Fault::new(Wrong::OutOfRange)),
            #[expect(clippy::cast_possible_truncation, reason = "it has no fraction, and fits")]
            Self::Fraction(value) if value.fract() == 0.0 && value.abs() <= LARGEST_EXACT => Ok(value as i64),
            Self::Fraction(value) if value.fract() == 0.0 => Err(Fault::new(Wrong::OutOfRange)),
            _ => Err(not_a(Expected::Integer)),
        }
    }
}

fn not_a(expected: Expected) -> Fault {
    Fault::new(Wrong::NotA(expected))
}

struct Items {
    items: std::vec::IntoIter<Node>,
    position: usize,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let read = seed.deserialize(item).map_err(|fault| fault.at(self.position))?;
        self.position += 1;
        Ok(Some(read))
    }
}

struct Entries {
    entries: std::vec::IntoIter<(String, Node)>,
    /// The entry whose name was read.
    value: Option<(String, Node)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.value = self.entries.next();
        let name = self.value.as_ref().map(|(name, _)| StrDeserializer::new(name));
        name.map(|name| seed.deserialize(name)).transpose()
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let (name, value) = self.value.take().unwrap_or((String::new(), Node::Null));
        seed.deserialize(value).map_err(|fault| fault.within(&name))
    }
}
