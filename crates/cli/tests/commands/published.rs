//! Documentation and contrib only mention what exists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::read;
use crate::team::run;

/// Variables that are not configuration keys: those of commands and the SDK, and those that name a file.
const OTHERS: [&str; 5] = [
    "COUNTERSIGN_DATABASE_URL_FILE",
    "COUNTERSIGN_CLIENT_ID",
    "COUNTERSIGN_CLIENT_SECRET",
    "COUNTERSIGN_CA_FILE",
    "COUNTERSIGN_",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every text in these files and directories.
fn texts(names: &[&str]) -> Vec<(String, String)> {
    let mut waiting: Vec<PathBuf> = names.iter().map(|name| root().join(name)).collect();
    let mut texts = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_none_or(|end| end != "png") {
            texts.push((path.display().to_string(), read(&path)));
        }
    }
    assert!(texts.len() >= names.len());
    texts
}

/// Every key with its variable and value, as the binary prints them.
fn keys() -> Vec<(String, String, String)> {
    let rows: Value = serde_json::from_str(&run("config show --output json", &[], "").stdout).unwrap();
    let text = |row: &Value, member: &str| row[member].as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(|row| (text(row, "key"), text(row, "variable"), text(row, "value"))).collect()
}

/// The help of commands, each requested once.
#[derive(Default)]
struct Helps(BTreeMap<String, String>);

impl Helps {
    fn of(&mut self, command: &str) -> &str {
        self.0.entry(command.to_owned()).or_insert_with(|| run(&format!("{command} --help"), &[], "").stdout)
    }

    /// Returns what is wrong with the words of a command, if anything.
    fn judge(&mut self, words: &[String]) -> Option<String> {
        let (mut command, mut rest) = (String::new(), words);
        while let Some((word, after)) = rest.split_first() {
            let lists =
                |help: &str| help.lines().any(|line| line.trim_start().split(' ').next() == Some(word.as_str()));
            let help = self.of(&command);
            if !help.contains("\nCommands:") || word.starts_with('-') {
                break;
            }
            if !lists(help) {
                return Some(format!("`{command}` has no `{word}`"));
            }
            command = format!("{command} {word}").trim().to_owned();
            rest = after;
        }
        let help = self.of(&command).to_owned();
        let flags = rest.iter().filter(|word| word.starts_with("--")).map(|word| word.split('=').next().unwrap());
        let is_known = |flag: &str| help.split([' ', '\n', ',']).any(|known| known == flag);
        flags.into_iter().find(|flag| !is_known(flag)).map(|flag| format!("`{command}` has no {flag}"))
    }
}

/// The words after `countersign` in a line, up to the end of the command.
fn find_command(line: &str) -> Option<Vec<String>> {
    let (before, rest) = line.split_once("countersign ")?;
    let begins = before.is_empty() || before.ends_with(['/', ' ', '`', '(', '=']);
    let begins_command = rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '-');
    let words = rest.split(['|', '>', ';', '`', ')', '#', '<']).next()?;
    (begins && begins_command).then(|| words.split_whitespace().map(str::to_owned).collect())
}

/// The commands in a text: in Markdown, those in code blocks and backticks; elsewhere, those that a line runs.
fn commands(name: &str, text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let (mut in_code, mut found) = (!name.ends_with(".md"), Vec::new());
    for line in text.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
        } else if in_code && name.ends_with(".md") {
            found.extend(find_command(line));
        } else if name.ends_with(".md") {
            found.extend(
                line.split('`')
                    .skip(1)
                    .step_by(2)
                    .filter(|code| code.starts_with("countersign "))
                    .filter_map(find_command),
            );
        } else if line.starts_with("Exec") || line.contains("exec server") {
            found.extend(find_command(line));
        } else if let Some(list) = line.trim().strip_prefix("CMD ").or_else(|| line.trim().strip_prefix("command: ")) {
            let list: Vec<String> =
                serde_json::from_str(list).unwrap_or_else(|error| panic!("{name}: {line}: {error}"));
            found.push(list);
        }
    }
    found
}

#[test]
fn every_documented_command_and_flag_exists() {
    let mut helps = Helps::default();
    let (mut faults, mut count) = (Vec::new(), 0);
    for (name, text) in texts(&["README.md", "docs", "contrib"]) {
        for words in commands(&name, &text) {
            count += 1;
            faults.extend(helps.judge(&words).map(|fault| format!("{name}: {} ({fault})", words.join(" "))));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(count > 50, "only {count} commands found");
    for (line, fault) in
        [("clint list", true), ("client lst", true), ("client list --al", true), ("client list --unused 1d", false)]
    {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(helps.judge(&words).is_some(), fault, "{line}");
    }
}

#[test]
fn every_documented_variable_is_used() {
    let keys = keys();
    let is_known = |name: &str| OTHERS.contains(&name) || keys.iter().any(|(_, variable, _)| variable == name);
    let mut faults = Vec::new();
    for (name, text) in texts(&["README.md", "docs", "contrib"]) {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let unknown = words.filter(|word| word.starts_with("COUNTERSIGN_") && !is_known(word));
        faults.extend(unknown.map(|word| format!("{name}: {word}")));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_configurations_in_contrib_and_the_documentation_are_valid() {
    let file = root().join("contrib/countersign.toml").display().to_string();
    let done = run(&format!("config check --config {file}"), &[], "");
    assert_eq!(done.code, Some(0), "{done:?}");
    // The lines in comments must be valid too.
    let kept = tempfile::TempDir::new().unwrap();
    let whole = read(Path::new(&file)).replace("# [", "[").replace("# url =", "url =").replace("# cert =", "cert =");
    let whole = whole.replace("# key =", "key =");
    let mut blocks = vec![whole];
    for (_, text) in texts(&["docs"]) {
        blocks.extend(text.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()));
    }
    assert!(blocks.len() >= 3);
    for block in blocks {
        let file = kept.path().join("c.toml");
        std::fs::write(&file, &block).unwrap();
        let done = run(&format!("config check --config {}", file.display()), &[], "");
        assert_eq!(done.code, Some(0), "{done:?}: {block}");
    }
}

#[test]
fn the_configuration_page_matches_the_binary() {
    let page = read(&root().join("docs/configuration.md"));
    let rows: Vec<Vec<&str>> =
        page.lines().filter(|line| line.starts_with("| `")).map(|line| line.split(" | ").collect()).collect();
    let keys = keys();
    assert_eq!(rows.len(), keys.len());
    for (key, variable, value) in keys {
        let row = rows.iter().find(|row| row[0] == format!("| `{key}`")).unwrap_or_else(|| panic!("{key}"));
        assert!(row[1].starts_with(&format!("`{variable}`")), "{row:?}");
        let default = row[3].trim_matches(['`', '"']);
        // Keys without a default describe their default in words.
        assert!(default == value || (default == "none" && value.starts_with('(')), "{key}: {default} {value}");
    }
}

/// The anchor that GitHub and mdbook generate for a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || "_- ".contains(*c)).collect::<String>().replace(' ', "-")
}

/// The anchors of a page's headings, ignoring code blocks.
fn anchors(page: &str) -> Vec<String> {
    let text = page.split("```").step_by(2).flat_map(str::lines);
    text.filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// The targets of a page's links to other pages of this repository.
fn links(page: &str) -> Vec<&str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.starts_with("http")).collect()
}

#[test]
fn every_link_leads_to_an_existing_page_and_heading() {
    let (mut faults, mut count) = (Vec::new(), 0);
    for (name, text) in texts(&["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs", "contrib/README.md"]) {
        for target in links(&text) {
            count += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { PathBuf::from(&name) } else { Path::new(&name).with_file_name(file) };
            let is_there = path.exists() && (heading.is_empty() || anchors(&read(&path)).iter().any(|a| a == heading));
            if !is_there {
                faults.push(format!("{name}: {target}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(count > 50, "only {count} links found");
}

#[test]
fn the_summary_lists_every_page_of_the_book() {
    let summary = read(&root().join("docs/SUMMARY.md"));
    let pages = texts(&["docs"]).into_iter().map(|(name, _)| name.split_once("/docs/").unwrap().1.to_owned());
    let missing: Vec<String> =
        pages.filter(|page| page != "SUMMARY.md" && !summary.contains(&format!("({page})"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
