//! Tables and details for people, with times in UTC, ages and durations. Terminal control characters are escaped.

use countersign_protocol::UnixTime;
use serde_json::{Map, Value};

use crate::moment::{show, show_age, show_duration};
use crate::plain::escape;

/// The minimum width of a column.
const NARROWEST: usize = 8;
const GAP: usize = 2;

/// A member to show, and its column header.
pub(crate) type Column = (&'static str, &'static str);

/// Formats a table, at most `width` characters wide if there is a limit.
pub(crate) fn table(columns: &[Column], items: &[Value], now: UnixTime, width: Option<usize>) -> Vec<String> {
    let head = columns.iter().map(|(_, title)| (*title).to_owned()).collect();
    let row = |item: &Value| columns.iter().map(|(member, _)| cell(member, &item[*member], now)).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(items.iter().map(row)).collect();
    let widths = fit(&rows, width);
    rows.iter().map(|row| line(row, &widths)).collect()
}

/// Formats one object, one line per member and per object in a list. Lines longer than `width` are wrapped.
pub(crate) fn details(thing: &Value, now: UnixTime, width: Option<usize>) -> Vec<String> {
    let mut rows = Vec::new();
    for (member, value) in thing.as_object().into_iter().flatten() {
        match value.as_array().filter(|items| items.iter().any(Value::is_object)) {
            Some(items) => {
                for (index, item) in items.iter().enumerate() {
                    let name = if index == 0 { escape(member).into_owned() } else { String::new() };
                    rows.push(vec![name, describe(item, now)]);
                }
            }
            None => rows.push(vec![escape(member).into_owned(), in_full(member, value, now)]),
        }
    }
    let names = fit(&rows, None).first().copied().unwrap_or_default();
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(names + GAP).max(NARROWEST));
    let below = |row: &Vec<String>| {
        let parts = wrap(&row[1], room).into_iter().enumerate();
        parts
            .map(|(index, part)| vec![if index == 0 { row[0].clone() } else { String::new() }, part])
            .collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = rows.iter().flat_map(below).collect();
    let widths = fit(&rows, None);
    rows.iter().map(|row| line(row, &widths)).collect()
}

/// Wraps text at spaces only, so that a long word can be copied whole.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last =
            lines.last_mut().filter(|last| last.is_empty() || last.chars().count() + 1 + word.chars().count() <= room);
        match last {
            Some(last) if last.is_empty() => last.push_str(word),
            Some(last) => last.extend([" ", word]),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Formats a member. A time includes its age.
fn in_full(member: &str, value: &Value, now: UnixTime) -> String {
    match value.as_i64().filter(|_| is_moment(member)) {
        Some(at) => format!("{} UTC ({})", show(at), show_age(at, now)),
        None => cell(member, value, now),
    }
}

/// Formats an object on one line: its first member, then the others by name.
fn describe(thing: &Value, now: UnixTime) -> String {
    let members = thing.as_object().map(Map::iter).into_iter().flatten();
    let part = |(index, (member, value)): (usize, (&String, &Value))| {
        let text = cell(member, value, now);
        if index == 0 { text } else { format!("{}: {text}", escape(member)) }
    };
    members.enumerate().map(part).collect::<Vec<_>>().join("; ")
}

fn cell(member: &str, value: &Value, now: UnixTime) -> String {
    match value {
        Value::Null if matches!(member, "expires_at" | "last_used_at") => "never".to_owned(),
        Value::Null => "-".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => match number.as_i64() {
            Some(at) if is_past(member) => show_age(at, now),
            Some(at) if is_moment(member) => show(at),
            Some(duration) if member.ends_with("_s") => show_duration(duration),
            _ => number.to_string(),
        },
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => escape(text).into_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(|item| cell(member, first(item), now)).collect::<Vec<_>>().join(", "),
        Value::Object(_) => describe(value, now),
    }
}

/// Returns the first member, which names the object.
fn first(item: &Value) -> &Value {
    item.as_object().and_then(|members| members.values().next()).unwrap_or(item)
}

fn is_past(member: &str) -> bool {
    matches!(member, "created_at" | "last_used_at" | "last_seen_at")
}

fn is_moment(member: &str) -> bool {
    member.ends_with("_at") || matches!(member, "at" | "hour" | "not_before" | "since")
}

/// Returns the column widths. Shrinks the widest column until all fit.
fn fit(rows: &[Vec<String>], width: Option<usize>) -> Vec<usize> {
    let columns = rows.first().map_or(0, Vec::len);
    let longest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let mut widths: Vec<usize> = (0..columns).map(longest).collect();
    let room = width.map(|width| width.saturating_sub(GAP * columns.saturating_sub(1)));
    while room.is_some_and(|room| widths.iter().sum::<usize>() > room) {
        match widths.iter_mut().max() {
            Some(widest) if *widest > NARROWEST => *widest -= 1,
            _ => break,
        }
    }
    widths
}

fn line(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (text, width) in row.iter().zip(widths) {
        let length = text.chars().count();
        if length > *width {
            line.extend(text.chars().take(width.saturating_sub(1)).chain(['…']));
        } else {
            line.push_str(text);
        }
        line.extend(std::iter::repeat_n(' ', width.saturating_sub(length) + GAP));
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixTime = 1_795_601_100;

    fn secrets() -> [Value; 2] {
        [
            json!({ "id": "cred_1", "label": "the first one of all", "created_at": NOW - 7200, "expires_at": null }),
            json!({ "id": "cred_2", "label": "", "created_at": NOW, "expires_at": NOW + 60 }),
        ]
    }

    const COLUMNS: [Column; 4] =
        [("id", "ID"), ("label", "LABEL"), ("created_at", "CREATED"), ("expires_at", "EXPIRES")];

    #[test]
    fn a_table_shows_ages_times_and_missing_values() {
        let lines = table(&COLUMNS, &secrets(), NOW, None);
        assert_eq!(
            lines,
            [
                "ID      LABEL                 CREATED  EXPIRES",
                "cred_1  the first one of all  2 h ago  never",
                "cred_2  -                     0 s ago  2026-11-25 10:06",
            ]
        );
    }

    #[test]
    fn the_widest_column_shrinks_to_fit_the_terminal() {
        let lines = table(&COLUMNS, &secrets(), NOW, Some(51));
        assert_eq!(lines[1], "cred_1  the first one o…  2 h ago  never");
        assert!(lines.iter().all(|line| line.chars().count() <= 51), "{lines:?}");
        assert_eq!(table(&COLUMNS, &secrets(), NOW, Some(1))[1], "cred_1  the fir…  2 h ago  never");
    }

    #[test]
    fn details_show_one_line_per_member_and_nested_object() {
        let api = json!({
            "id": "billing", "access_token_lifetime_s": 900, "grants": ["client_credentials", "password"],
            "scopes": [{ "name": "r", "rules": ["GET \
             /"], "default": true }, { "name": "w", "rules": [], "default": false }],
            "name": "a\u{1b}[31m b", "created_at": NOW - 60,
        });
        assert_eq!(
            details(&api, NOW, None),
            [
                "id                       billing",
                "access_token_lifetime_s  15m",
                "grants                   client_credentials, password",
                "scopes                   r; rules: GET /; default: yes",
                "                         w; rules: -; default: no",
                "name                     a\\u{1b}[31m b",
                "created_at               2026-11-25 10:04 UTC (1 m ago)",
            ]
        );
        let narrow = details(&api, NOW, Some(46));
        assert_eq!(
            narrow[2..5],
            [
                "grants                   client_credentials,",
                "                         password",
                "scopes                   r; rules: GET /;",
            ]
        );
        assert!(narrow.iter().all(|line| line.chars().count() <= 46), "{narrow:?}");
    }
}
