//! The configuration from its four sources: flags, environment, file, defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use countersign_server::config::schema::{KEYS, Kind};
use countersign_server::config::{Config, ConfigError};
use countersign_server::document::{Document, Expected, Fault, Wrong, choices};
use toml::{Table, Value};

use crate::args::SettingsArgs;

const PREFIX: &str = "COUNTERSIGN_";
/// Variables of the SDK and the other commands. The server ignores them.
const NOT_OURS: [&str; 8] = [
    "COUNTERSIGN_CLIENT_ID",
    "COUNTERSIGN_CLIENT_ID_FILE",
    "COUNTERSIGN_CLIENT_SECRET",
    "COUNTERSIGN_CLIENT_SECRET_FILE",
    "COUNTERSIGN_SCOPE",
    "COUNTERSIGN_AUDIENCE",
    "COUNTERSIGN_ISSUER_FILE",
    "COUNTERSIGN_CA_FILE",
];

/// A configuration, and the source of each key that is set.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) origins: BTreeMap<String, String>,
    /// Variables with our prefix that Kubernetes has set.
    pub(crate) ignored: Vec<String>,
    /// Files that were read and contain a database password.
    pub(crate) secret_files: Vec<PathBuf>,
}

/// Reads and validates the configuration. The error names the first invalid key.
pub(crate) fn read(args: &SettingsArgs, environment: &[(String, String)]) -> Result<Settings, ConfigError> {
    let mut merged = Merged::default();
    if let Some(path) = &args.config {
        merged.add_file(path)?;
    }
    merged.add_environment(environment)?;
    merged.add_flags(args);
    let config = merged.parse()?;
    config.validate().map_err(|error| merged.locate(error))?;
    let mut secret_files = merged.secret_files;
    secret_files.extend(
        args.config.clone().filter(|path| {
            merged.origins.get("database.url").is_some_and(|origin| *origin == path.display().to_string())
        }),
    );
    Ok(Settings { config, origins: merged.origins, ignored: merged.ignored, secret_files })
}

/// Returns the data directory, with the same precedence. Does not validate other keys, because an administrator may
/// not have everything that the server needs.
pub(crate) fn find_directory(
    file: Option<&Path>,
    flag: Option<&Path>,
    environment: &[(String, String)],
) -> Result<PathBuf, ConfigError> {
    if let Some(flag) = flag {
        return Ok(flag.to_owned());
    }
    let name = variable("data_dir");
    if let Some((_, value)) = environment.iter().find(|(known, value)| *known == name && !value.is_empty()) {
        return Ok(value.into());
    }
    let mut merged = Merged::default();
    if let Some(file) = file {
        merged.add_file(file)?;
    }
    match merged.table.get("data_dir") {
        None => Ok(Config::default().data_dir),
        Some(Value::String(path)) => Ok(path.into()),
        Some(_) => Err(ConfigError::new("data_dir", "must be a string")),
    }
}

#[derive(Default)]
struct Merged {
    table: Table,
    origins: BTreeMap<String, String>,
    ignored: Vec<String>,
    secret_files: Vec<PathBuf>,
}

impl Merged {
    fn set(&mut self, key: &str, value: Value, origin: &str) {
        match key.split_once('.') {
            None => {
                self.table.insert(key.to_owned(), value);
            }
            Some((section, inner)) => {
                let section = self.table.entry(section).or_insert_with(|| Value::Table(Table::new()));
                if let Value::Table(section) = section {
                    section.insert(inner.to_owned(), value);
                }
            }
        }
        self.origins.insert(key.to_owned(), origin.to_owned());
    }

    fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::new(&shown, error))?;
        for (key, value) in text.parse::<Table>().map_err(|error| syntax_error(&shown, &text, &error))? {
            match value {
                Value::Table(section) if !section.is_empty() => {
                    section.into_iter().for_each(|(inner, value)| self.set(&format!("{key}.{inner}"), value, &shown));
                }
                other => self.set(&key, other, &shown),
            }
        }
        Ok(())
    }

    fn add_environment(&mut self, environment: &[(String, String)]) -> Result<(), ConfigError> {
        for (name, value) in environment.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            if NOT_OURS.contains(&name.as_str()) {
                continue;
            }
            if name == "COUNTERSIGN_DATABASE_URL_FILE" {
                let text = std::fs::read_to_string(value).map_err(|error| ConfigError::new(name, error))?;
                self.set("database.url", Value::String(text.trim_end().to_owned()), name);
                self.secret_files.push(value.into());
                continue;
            }
            if is_set_by_kubernetes(name, value) {
                self.ignored.push(name.clone());
                continue;
            }
            let key = KEYS.iter().find(|key| variable(&key.name) == *name).ok_or_else(|| {
                let known = "`countersign config show --output json` lists all settings";
                ConfigError::new(name, format!("unknown setting; did you mean {}? {known}", find_nearest(name)))
            })?;
            let value = parse(key.kind, value).map_err(|reason| ConfigError::new(name, reason))?;
            self.set(&key.name, value, name);
        }
        Ok(())
    }

    fn add_flags(&mut self, args: &SettingsArgs) {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let flags = [
            ("listen", "--listen", args.listen.map(|address| address.to_string())),
            ("issuer", "--issuer", args.issuer.clone()),
            ("data_dir", "--data-dir", path(&args.data_dir)),
            ("database.url", "--database-url", args.database_url.clone()),
            ("tls.cert", "--tls-cert", path(&args.tls_cert)),
            ("tls.key", "--tls-key", path(&args.tls_key)),
        ];
        for (key, flag, value) in flags {
            if let Some(value) = value {
                self.set(key, Value::String(value), flag);
            }
        }
    }

    fn parse(&self) -> Result<Config, ConfigError> {
        let document = self.table.clone().try_into::<Document>();
        let document = document.map_err(|error| ConfigError::new("configuration", error.message()))?;
        document.read().map_err(|Fault { path, wrong }| {
            // The entries of a list are set together.
            let key = path.split('[').next().unwrap_or_default();
            self.locate(ConfigError::new(key, in_plain_words(key, &wrong)))
        })
    }

    /// Adds the file, variable or flag that set the key, or a key in the section, to the error.
    fn locate(&self, error: ConfigError) -> ConfigError {
        let is_set = |(key, _): &(&String, &String)| {
            key.strip_prefix(&error.key).is_some_and(|inner| inner.is_empty() || inner.starts_with('.'))
        };
        match self.origins.iter().find(is_set).map(|(_, origin)| origin) {
            Some(origin) => ConfigError::new(&format!("{} ({origin})", error.key), error.reason),
            None => error,
        }
    }
}

/// Says what is wrong with a key.
fn in_plain_words(key: &str, wrong: &Wrong) -> String {
    match (wrong, KEYS.iter().find(|known| known.name == key).map(|known| known.kind)) {
        (Wrong::NotA(Expected::Object), _) => format!("is a section; write [{key}] and put its keys below it"),
        (Wrong::NotA(_), Some(Kind::Text)) => "must be a string in quotes".to_owned(),
        (Wrong::NotA(_) | Wrong::OutOfRange, Some(Kind::Number)) => "must be a whole number, 0 or greater".to_owned(),
        (Wrong::NotA(_), Some(Kind::List)) => "must be a list of strings, such as [\"10.0.0.0/8\"]".to_owned(),
        (Wrong::Unknown(known), _) => format!("unknown key, expected {}", choices(known)),
        _ => wrong.to_string(),
    }
}

/// True for the variables that Kubernetes sets in every container if there is a Service named `countersign`.
///
/// Its `COUNTERSIGN_PORT` contains a URL. A plain number is someone's guess at `listen`, which is an error.
fn is_set_by_kubernetes(name: &str, value: &str) -> bool {
    match name.strip_prefix(PREFIX).unwrap_or_default() {
        "SERVICE_HOST" | "SERVICE_PORT" => true,
        "PORT" => value.contains("://"),
        other if other.starts_with("SERVICE_PORT_") => true,
        other => other.strip_prefix("PORT_").is_some_and(|rest| {
            let mut words = rest.split('_');
            words.next().is_some_and(|port| port.parse::<u16>().is_ok())
                && words.next().is_some_and(|protocol| ["TCP", "UDP", "SCTP"].contains(&protocol))
                && words.next().is_none_or(|what| ["PROTO", "PORT", "ADDR"].contains(&what))
                && words.next().is_none()
        }),
    }
}

/// Returns the known variable that shares the longest prefix and suffix with this one.
fn find_nearest(name: &str) -> String {
    let shared = |known: &String| {
        let same = |(a, b): &(char, char)| a == b;
        let start = known.chars().zip(name.chars()).take_while(same).count();
        start + known.chars().rev().zip(name.chars().rev()).take_while(same).count()
    };
    KEYS.iter().map(|key| variable(&key.name)).max_by_key(shared).unwrap_or_default()
}

/// Reports the line of a TOML syntax error.
fn syntax_error(file: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.lines().count().max(1);
    ConfigError::new(&format!("{file}, line {line}"), error.message())
}

/// Returns the value of `section.key` in a table.
pub(crate) fn find<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, inner)) => table.get(section)?.as_table()?.get(inner),
    }
}

/// Returns the environment variable of a key.
pub(crate) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// Returns the flag of `serve` that sets a key, if there is one.
pub(crate) fn flag(key: &str) -> Option<String> {
    let name = key.replace(['.', '_'], "-");
    let serve = SettingsArgs::augment_args(Command::new("serve"));
    serve.get_arguments().any(|argument| argument.get_long() == Some(&name)).then(|| format!("--{name}"))
}

fn parse(kind: Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Text => Ok(Value::String(text.to_owned())),
        Kind::Number => text.parse().map(Value::Integer).map_err(|_| format!("`{text}` is not a whole number")),
        Kind::Switch => text.parse().map(Value::Boolean).map_err(|_| format!("`{text}` must be true or false")),
        Kind::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
    }
}
