//! Why a document cannot be read, and where.

use std::fmt;

use serde::de::{Error, Unexpected};

/// The first field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, such as `scopes[0].name`. Empty for the whole document.
    pub path: String,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// What is wrong with a field. Displayed after the field's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It is required.
    #[error("missing")]
    Missing,
    /// It was sent several times.
    #[error("duplicate field")]
    Duplicate,
    /// There is no such field.
    #[error("unknown field, expected {}", choices(.0))]
    Unknown(&'static [&'static str]),
    /// It has another type.
    #[error("must be {0}")]
    NotA(Expected),
    /// It is a number that is too small or too large.
    #[error("is out of range")]
    OutOfRange,
    /// It is not one of these values.
    #[error("must be {}", choices(.0))]
    NotOneOf(&'static [&'static str]),
    /// Anything else.
    #[error("{0}")]
    Invalid(String),
}

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Expected {
    /// `true` or `false`.
    #[error("true or false")]
    Switch,
    /// An integer.
    #[error("a whole number")]
    Integer,
    /// A string.
    #[error("a string")]
    Text,
    /// A list of values.
    #[error("a list")]
    List,
    /// An object with fields.
    #[error("an object")]
    Object,
}

impl Fault {
    pub(super) fn new(wrong: Wrong) -> Self {
        Self { path: String::new(), wrong }
    }

    /// Adds the field that contains this one.
    pub(super) fn within(self, field: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{field}{separator}{}", self.path), ..self }
    }

    /// Adds the position in the list that contains this value.
    pub(super) fn at(self, position: usize) -> Self {
        self.within(&format!("[{position}]"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => self.wrong.fmt(f),
            path => write!(f, "{path}: {}", self.wrong),
        }
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(Wrong::Invalid(text.to_string()))
    }

    fn invalid_type(_sent: Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::custom(format_args!("must be {expected}"))
    }

    fn invalid_value(sent: Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        match sent {
            Unexpected::Signed(_) | Unexpected::Unsigned(_) => Self::new(Wrong::OutOfRange),
            _ => Self::custom(format_args!("must be {expected}")),
        }
    }

    fn invalid_length(_sent: usize, expected: &dyn serde::de::Expected) -> Self {
        Self::custom(format_args!("must be {expected}"))
    }

    fn unknown_variant(_sent: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Wrong::NotOneOf(expected))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Wrong::Unknown(expected)).within(field)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Wrong::Missing).within(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(Wrong::Duplicate).within(field)
    }
}

/// Lists values for a message, such as "`a` or `b`".
pub fn choices(values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [one, other] => format!("{one} or {other}"),
        all => format!("one of {}", all.join(", ")),
    }
}
