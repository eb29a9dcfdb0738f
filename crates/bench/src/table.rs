//! The printed table, which is stored in `bench/results.md`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::cores;

/// A figure: the bare side, ours, and the target.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// What was measured, with its unit.
    pub(crate) figure: String,
    /// The bare side, if there is one.
    pub(crate) bare: String,
    /// Ours.
    pub(crate) ours: String,
    /// The compared value, if it is neither of the two.
    pub(crate) compared: String,
    /// The target, and whether it is met.
    pub(crate) target: Option<(String, bool)>,
}

/// The figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    notes: Vec<String>,
}

const HEADINGS: [&str; 6] = ["figure", "bare", "countersign", "compared", "target", ""];

impl Table {
    /// Adds rows, and prints them, because a run takes minutes.
    pub(crate) fn add(&mut self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            println!("{}", cells(&row).join("  "));
            self.rows.push(row);
        }
    }

    /// Adds a line below the table.
    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// The table as Markdown, aligned for a terminal.
    pub(crate) fn to_text(&self) -> String {
        let rows: Vec<[String; 6]> =
            std::iter::once(HEADINGS.map(str::to_owned)).chain(self.rows.iter().map(cells)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: [usize; 6] = std::array::from_fn(width);
        let mut lines: Vec<String> = rows.iter().map(|row| line(row, &widths)).collect();
        let rule = widths.map(|width| "-".repeat(width));
        lines.insert(1, line(&rule, &widths));
        lines.push(String::new());
        lines.extend(self.notes.iter().map(|note| format!("- {note}")));
        lines.join("\n") + "\n"
    }

    /// Writes the table with the processor, the commit and the date.
    pub(crate) fn write(&self, path: &Path) -> Outcome<()> {
        let (day, commit) = (output("date", &["-u", "+%F"])?, output("git", &["rev-parse", "--short", "HEAD"])?);
        let processor = cores::cpu_name()?;
        let text = format!(
            "# Figures\n\nWritten by `cargo xtask bench` on {day}, {processor}, after commit {commit}.\n\n{}",
            self.to_text()
        );
        fs::create_dir_all(path.parent().ok_or("no directory")?)?;
        Ok(fs::write(path, text)?)
    }
}

fn cells(row: &Row) -> [String; 6] {
    let (target, verdict) = match &row.target {
        None => (String::new(), ""),
        Some((target, true)) => (target.clone(), "held"),
        Some((target, false)) => (target.clone(), "MISSED"),
    };
    [row.figure.clone(), row.bare.clone(), row.ours.clone(), row.compared.clone(), target, verdict.to_owned()]
}

fn line(cells: &[String; 6], widths: &[usize; 6]) -> String {
    let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
    format!("| {} |", padded.join(" | "))
}

fn output(program: &str, arguments: &[&str]) -> Outcome<String> {
    let output = Command::new(program).args(arguments).current_dir(crate::plan::root()).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
