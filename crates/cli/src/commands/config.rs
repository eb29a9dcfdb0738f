//! `countersign config check`, `countersign config show` and `countersign config schema`

use countersign_server::config::Config;
use countersign_server::config::schema::{KEYS, Key, schema};
use serde_json::json;
use toml::{Table, Value};

use crate::args::{ConfigArgs, ConfigVerb, Format, SettingsArgs};
use crate::output::{Failure, Output};
use crate::settings::{self, Settings, find, flag, variable};

/// Validates or prints the configuration that `serve` would use.
pub(crate) fn run(args: &ConfigArgs, environment: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    let read = |settings: &SettingsArgs| settings::read(settings, environment).map_err(Failure::new);
    match &args.verb {
        ConfigVerb::Check { settings } => {
            read(settings)?;
            output.line("The configuration is valid.");
        }
        ConfigVerb::Show { settings, output: format } => show(&read(settings)?, *format, output)?,
        ConfigVerb::Schema => output.own_text(&format!("{:#}", annotated_schema())),
    }
    Ok(())
}

/// Returns the JSON Schema of the file, with the environment variable and the flag of each key.
fn annotated_schema() -> serde_json::Value {
    let mut schema = schema();
    for key in KEYS.iter() {
        if let Some(property) = schema.pointer_mut(&key.pointer) {
            property["x-variable"] = json!(variable(&key.name));
            if let Some(flag) = flag(&key.name) {
                property["x-flag"] = json!(flag);
            }
        }
    }
    schema
}

fn show(settings: &Settings, format: Format, output: &mut Output) -> Result<(), Failure> {
    let table = Table::try_from(&settings.config).map_err(Failure::new)?;
    let row = |Key { name, .. }: &'static Key| {
        let origin = settings.origins.get(name).map_or("default", String::as_str);
        (name.as_str(), describe(name, &table, &settings.config), origin)
    };
    let rows: Vec<_> = KEYS.iter().map(row).collect();
    match format {
        Format::Json => {
            let rows: Vec<_> = rows
                .iter()
                .map(|(key, value, origin)| {
                    json!({ "key": key, "value": value, "origin": origin, "variable": variable(key) })
                })
                .collect();
            output.json(&json!(rows));
        }
        Format::Table => {
            let width = |column: fn(&(&str, String, &str)) -> usize| rows.iter().map(column).max().unwrap_or_default();
            let (keys, values) = (width(|row| row.0.len()), width(|row| row.1.len()));
            for (key, value, origin) in &rows {
                output.line(format!("{key:keys$}  {value:values$}  {origin}").trim_end());
            }
        }
    }
    Ok(())
}

/// Returns a value for display. For the database URL, which may contain a password, this is only the scheme.
fn describe(key: &str, table: &Table, config: &Config) -> String {
    match (key, find(table, key)) {
        ("database.url", Some(Value::String(url))) => {
            format!("{}://********", url.split(':').next().unwrap_or_default())
        }
        ("database.url", None) => "(SQLite in data_dir)".to_owned(),
        ("issuer", None) => format!("({})", config.derived_issuer(config.listen)),
        ("playground.enabled", None) => "(true with --demo)".to_owned(),
        (_, None) => "(none)".to_owned(),
        (_, Some(Value::String(text))) => text.clone(),
        (_, Some(other)) => other.to_string(),
    }
}
