//! `docs/configuration.md`, from the doc comments of the configuration's types: what is written there cannot drift.

mod source;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::docs::source::{Field, Structs, find_flags, find_kinds};
use crate::run::root;

const PAGE: &str = "docs/configuration.md";
const SETTINGS: &str = "crates/cli/src/settings.rs";
const SOURCES: [&str; 2] = ["crates/server/src/config.rs", "crates/server/src/config/sections.rs"];

const HEAD: &str = "# Configuration

<!-- Written by `cargo xtask docs` from the doc comments in crates/server/src/config.rs and config/sections.rs. -->

This page lists every configuration key. Precedence: flags, environment variables, the TOML file from `--config`, defaults.

An unknown key, an unknown `COUNTERSIGN_` variable or an invalid value prevents the server from starting. It prints one line
that names the key. To check the configuration before you start the server:

- `countersign config check` validates the configuration, and names the first key that is wrong.
- `countersign config show` prints every key with its value and where the value comes from. With `--output json` it also
  prints each key's environment variable.

In the file, each section is a table: write `[http]`, and `max_connections = 500` below it. In the environment, separate the
items of a list with commas. `COUNTERSIGN_DATABASE_URL_FILE` names a file that contains the database URL, so that its password
is not in the environment.

This example is complete for a server behind a proxy:

```toml
listen = \"0.0.0.0:8080\"
issuer = \"https://auth.example.com\"
data_dir = \"/var/lib/countersign\"

[proxy]
trusted = [\"10.0.0.5\"]
```
";

/// Writes the page.
pub(crate) fn run() -> Outcome {
    let page = root().join(PAGE);
    fs::write(&page, render()?).map_err(|error| format!("{PAGE}: {error}"))?;
    println!("docs: {PAGE} is written");
    Ok(())
}

/// A fault if the page is not what would be written now.
pub(crate) fn check() -> Vec<String> {
    match (render(), read(&root().join(PAGE))) {
        (Ok(wanted), Ok(found)) if wanted == found => Vec::new(),
        (Ok(_), _) => vec![format!("{PAGE} is not what the configuration's doc comments say: `cargo xtask docs`")],
        (Err(reason), _) => vec![reason],
    }
}

fn render() -> Result<String, String> {
    let text = SOURCES.map(|path| read(&root().join(path))).into_iter().collect::<Result<String, _>>()?;
    let (structs, kinds) = (Structs::read(&text), find_kinds(&text));
    let flags = find_flags(&read(&root().join(SETTINGS))?);
    let mut page = HEAD.to_owned();
    let row = |page: &mut String, key: &str, field: &Field, default: &str| -> Outcome {
        let kind = kinds.get(key).ok_or_else(|| format!("{key} is not listed in KEYS"))?;
        let flag = flags.get(key).map(|flag| format!(" or `{flag}`")).unwrap_or_default();
        let variable = format!("COUNTERSIGN_{}", key.replace('.', "_").to_uppercase());
        let row = format!("| `{key}` | `{variable}`{flag} | {kind} | {default} | {} |\n", field.words);
        page.push_str(&row);
        Ok(())
    };
    let whole = structs.find("Config").ok_or("there is no struct Config")?;
    begin(&mut page, "The server", "The server's address, issuer and files.");
    for field in whole.iter().filter(|field| structs.find(&field.kind).is_none()) {
        row(&mut page, &field.name, field, &structs.default_of("Config", field)?)?;
    }
    for section in whole {
        let Some(fields) = structs.find(&section.kind) else { continue };
        begin(&mut page, &format!("`[{}]`", section.name), structs.words_of(&section.kind));
        for field in fields {
            let key = format!("{}.{}", section.name, field.name);
            row(&mut page, &key, field, &structs.default_of(&section.kind, field)?)?;
        }
    }
    Ok(page)
}

fn begin(page: &mut String, title: &str, words: &str) {
    let head = "| key | variable, flag | type | default | description |\n|---|---|---|---|---|";
    // Writing to a String cannot fail.
    let _ = writeln!(page, "\n## {title}\n\n{words}\n\n{head}");
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
