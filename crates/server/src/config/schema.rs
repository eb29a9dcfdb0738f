//! The JSON Schema of the configuration file, and the keys in it. Variables, documentation and `config show` are
//! generated from these.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::config::Config;

/// Every configuration key, in the order of the fields of [`Config`].
pub static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| list_keys(&schema()));

/// A configuration key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name, as `section.key`.
    pub name: String,
    /// The kind of value that it takes.
    pub kind: Kind,
    /// The JSON Pointer to its schema, in [`schema`].
    pub pointer: String,
}

/// The kind of value that a key takes, so that an environment variable can be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// An integer.
    Number,
    /// `true` or `false`.
    Switch,
    /// A list of strings, separated by commas in the environment.
    List,
}

/// Returns the JSON Schema of the configuration file. Descriptions are the doc comments of the fields.
pub fn schema() -> Value {
    // Serializing orders the keywords for readers, and cannot fail.
    serde_json::to_value(schemars::schema_for!(Config)).unwrap_or_default()
}

fn list_keys(schema: &Value) -> Vec<Key> {
    let mut keys = Vec::new();
    for (name, property) in properties(schema, "/properties") {
        match section(schema, property) {
            None => keys.push(Key::new(name.clone(), "/properties", name, property)),
            Some(section) => {
                for (inner, property) in properties(schema, &section) {
                    keys.push(Key::new(format!("{name}.{inner}"), &section, inner, property));
                }
            }
        }
    }
    keys
}

impl Key {
    fn new(name: String, parent: &str, property_name: &str, property: &Value) -> Self {
        Self { name, kind: Kind::of(property), pointer: format!("{parent}/{property_name}") }
    }
}

impl Kind {
    /// Returns the kind of a property. One without a type refers to an enumeration, whose values are strings.
    fn of(property: &Value) -> Self {
        let types = &property["type"];
        // An optional property has the types `[T, null]`.
        match types.get(0).unwrap_or(types).as_str() {
            Some("integer") => Self::Number,
            Some("boolean") => Self::Switch,
            Some("array") => Self::List,
            _ => Self::Text,
        }
    }
}

/// Returns the JSON Pointer to the properties of a section, or `None` for a property that is not a section.
fn section(schema: &Value, property: &Value) -> Option<String> {
    let section = format!("{}/properties", property["$ref"].as_str()?.trim_start_matches('#'));
    schema.pointer(&section).is_some().then_some(section)
}

fn properties<'s>(schema: &'s Value, pointer: &str) -> impl Iterator<Item = (&'s String, &'s Value)> {
    schema.pointer(pointer).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::PathBuf;

    use super::*;
    use crate::config::{Database, Http, Metrics, Playground, Tls};

    #[test]
    fn every_key_is_listed_once_and_unknown_ones_are_refused() {
        let full = Config {
            issuer: Some(String::new()),
            sealing_key_file: Some(PathBuf::new()),
            sealing_key_next_file: Some(PathBuf::new()),
            database: Database { url: Some(String::new()), ..Database::default() },
            http: Http { max_connections_per_address: Some(1), ..Http::default() },
            playground: Playground { enabled: Some(true) },
            metrics: Metrics { listen: Some(SocketAddr::from(([127, 0, 0, 1], 9))) },
            tls: Tls { cert: Some(PathBuf::new()), key: Some(PathBuf::new()) },
            ..Config::default()
        };
        let mut found = Vec::new();
        for (key, value) in toml::Table::try_from(&full).expect("serializes") {
            match value {
                toml::Value::Table(section) => found.extend(section.keys().map(|inner| format!("{key}.{inner}"))),
                _ => found.push(key),
            }
        }
        found.sort_unstable();
        let mut listed: Vec<String> = KEYS.iter().map(|key| key.name.clone()).collect();
        listed.sort_unstable();
        assert_eq!(found, listed);
        assert!(toml::from_str::<Config>("listen = 1").is_err());
        assert!(toml::from_str::<Config>("[database]\nuri = \"x\"").is_err());
    }
}
