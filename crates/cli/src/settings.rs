//! The configuration from its four sources: flags, environment, file, defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use countersign_server::config::schema::{KEYS, Kind};
use countersign_server::config::{Config, ConfigError};
use toml::{Table, Value};

use crate::args::SettingsArgs;

const PREFIX: &str = "COUNTERSIGN_";
/// Variables that the SDK and the other commands read; they are none of the server's, and no mistake.
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

/// A configuration, and where each key that is set comes from.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) origins: BTreeMap<String, String>,
    /// Variables that are of our prefix, and of somebody else's making.
    pub(crate) ignored: Vec<String>,
    /// Files that were read, and hold the password of a database.
    pub(crate) secret_files: Vec<PathBuf>,
}

/// Reads and checks the configuration; the first key that is wrong is named.
pub(crate) fn read(args: &SettingsArgs, environment: &[(String, String)]) -> Result<Settings, ConfigError> {
    let mut merged = Merged::default();
    if let Some(path) = &args.config {
        merged.add_file(path)?;
    }
    merged.add_environment(environment)?;
    merged.add_flags(args);
    let config = merged.table.clone().try_into::<Config>().map_err(|error| merged.blame(&error))?;
    config.validate().map_err(|error| merged.locate(error))?;
    let mut secret_files = merged.secret_files;
    secret_files.extend(
        args.config.clone().filter(|path| {
            merged.origins.get("database.url").is_some_and(|origin| *origin == path.display().to_string())
        }),
    );
    Ok(Settings { config, origins: merged.origins, ignored: merged.ignored, secret_files })
}

/// The data directory of a server here, by the same precedence. Other keys are not looked at: who administers a server
/// need not have all that starts it.
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
        Some(_) => Err(ConfigError::new("data_dir", "not a text")),
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
                let known = "`countersign config show --output json` lists them all";
                ConfigError::new(name, format!("no such setting; the nearest is {}, and {known}", find_nearest(name)))
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

    /// Names the key that is wrong and where it comes from, by judging each alone.
    fn blame(&self, error: &toml::de::Error) -> ConfigError {
        for (key, origin) in &self.origins {
            let mut alone = Self::default();
            alone.set(key, find(&self.table, key).cloned().unwrap_or(Value::Boolean(false)), origin);
            if let Err(error) = alone.table.try_into::<Config>() {
                // A database URL may hold a password, and the message would repeat it.
                let secret = key.starts_with("database");
                let secret = secret.then(|| "not a URL in a text, under database.url".to_owned());
                let reason = secret.unwrap_or_else(|| in_plain_words(key, error.message()));
                return self.locate(ConfigError::new(key, reason));
            }
        }
        ConfigError::new("configuration", error.message())
    }

    /// The same refusal, with the file, variable or flag that the key comes from.
    fn locate(&self, error: ConfigError) -> ConfigError {
        match self.origins.get(&error.key) {
            Some(origin) => ConfigError::new(&format!("{} ({origin})", error.key), error.reason),
            None => error,
        }
    }
}

/// What the reader of TOML says of a key, without its words for Rust's types.
fn in_plain_words(key: &str, message: &str) -> String {
    if !message.starts_with("invalid type") && !message.starts_with("invalid value") {
        return message.replace("unknown field", "unknown key").replace("unknown variant", "unknown value");
    }
    match KEYS.iter().find(|known| known.name == key).map(|known| known.kind) {
        Some(Kind::Text) => "must be a text, in quotes".to_owned(),
        Some(Kind::Number) => "must be a whole number, not below 0".to_owned(),
        Some(Kind::Switch) => "must be true or false".to_owned(),
        Some(Kind::List) => "must be a list of texts, such as [\"10.0.0.0/8\"]".to_owned(),
        None => format!("is a section: write [{key}], and its keys below it"),
    }
}

/// True for what Kubernetes gives every container beside a Service that is named `countersign`.
///
/// `COUNTERSIGN_PORT` holds a URL there; a bare number is somebody's guess at `listen`, and no such setting.
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

/// The variable that shares most of its beginning and its end with this one.
fn find_nearest(name: &str) -> String {
    let shared = |known: &String| {
        let same = |(a, b): &(char, char)| a == b;
        let start = known.chars().zip(name.chars()).take_while(same).count();
        start + known.chars().rev().zip(name.chars().rev()).take_while(same).count()
    };
    KEYS.iter().map(|key| variable(&key.name)).max_by_key(shared).unwrap_or_default()
}

/// A file that is no TOML, by its line.
fn syntax_error(file: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.lines().count().max(1);
    ConfigError::new(&format!("{file}, line {line}"), error.message())
}

/// The value of `section.key` in a table.
pub(crate) fn find<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, inner)) => table.get(section)?.as_table()?.get(inner),
    }
}

/// The environment variable of a key.
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
        Kind::Switch => text.parse().map(Value::Boolean).map_err(|_| format!("`{text}` is neither true nor false")),
        Kind::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
    }
}
