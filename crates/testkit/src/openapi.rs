//! Holds what the admin API answers against its OpenAPI document: an operation, a status or a member that the document
//! does not have fails the story that met it.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use countersign_server::ADMIN_DOCUMENT;
use serde_json::{Map, Value};

use crate::actor::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(ADMIN_DOCUMENT).unwrap());
/// The answers that the administrators of one server have met, as `METHOD PATH STATUS`. Stories do not share it: what one
/// story meets must not stand in for what another forgets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Met(Arc<Mutex<BTreeSet<String>>>);

impl Met {
    fn insert(&self, answer: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(answer);
    }

    /// All of them.
    pub(crate) fn to_set(&self) -> BTreeSet<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Fails unless the document knows the operation, the answer and all that is in both bodies; remembers that it was met.
pub(crate) fn check_documented(met_here: &Met, method: &str, path: &str, body: Option<&Value>, answer: &Answer) {
    let path = path.split('?').next().unwrap_or_default();
    let Some((template, operation)) = find_operation(method, path) else {
        assert!(matches!(answer.status, 400 | 403 | 404 | 405), "{method} {path} is not documented: {answer}");
        return;
    };
    let met = format!("{method} {template} {}", answer.status);
    let described = resolve(&operation["responses"][answer.status.to_string()]);
    assert!(!described.is_null(), "{met} is not documented: {answer}");
    if let Some(body) = body.filter(|_| answer.status < 300) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        check(schema, body, &format!("{met}: the request"));
    }
    let media_type = answer.header("content-type").split(';').next().unwrap_or_default();
    match described["content"].get(media_type) {
        Some(content) => check(&content["schema"], &answer.json(), &met),
        None => assert!(answer.body.is_empty(), "{met}: {media_type} is not documented: {answer}"),
    }
    met_here.insert(met);
}

/// Every operation and answer of the document, as `METHOD PATH STATUS`.
pub fn documented_answers() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (template, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters") {
            for status in operation["responses"].as_object().unwrap().keys() {
                all.insert(format!("{} {template} {status}", method.to_uppercase()));
            }
        }
    }
    all
}

/// The operation of a path; a fixed segment goes before a parameter, as in the router.
fn find_operation(method: &str, path: &str) -> Option<(&'static String, &'static Value)> {
    let segments: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let parts: Vec<&str> = template.split('/').collect();
        let same = |(part, segment): (&&str, &&str)| part.starts_with('{') || part == segment;
        parts.len() == segments.len() && parts.iter().zip(&segments).all(same)
    };
    let paths: &'static Map<String, Value> = DOCUMENT["paths"].as_object().unwrap();
    let mut found: Vec<_> = paths.iter().filter(|(template, _)| fits(template)).collect();
    found.sort_by_key(|(template, _)| template.matches('{').count());
    let (template, item) = found.first()?;
    item.get(method.to_lowercase()).map(|operation| (*template, operation))
}

fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}")),
        None => value,
    }
}

/// The part of JSON Schema that the document uses: types, members, items, what is required, and nothing beyond.
fn check(schema: &'static Value, value: &Value, place: &str) {
    let schema = resolve(schema);
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => panic!("{place}: the schema names no type"),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kinds.contains(&kind), "{place}: {value} is none of {kinds:?}");
    if let Some(known) = schema["enum"].as_array() {
        assert!(known.contains(value), "{place}: {value} is none of {known:?}");
    }
    match value {
        Value::Object(members) => check_members(schema, members, place),
        Value::Array(items) => items.iter().for_each(|item| check(&schema["items"], item, place)),
        _ => {}
    }
}

fn check_members(schema: &'static Value, members: &Map<String, Value>, place: &str) {
    // What the audit log keeps of a change is free of form.
    let Some(known) = schema["properties"].as_object() else { return };
    for (name, value) in members {
        let member = known.get(name).unwrap_or_else(|| panic!("{place}: {name} is not documented"));
        check(member, value, &format!("{place}.{name}"));
    }
    for needed in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(members.contains_key(needed), "{place}: {needed} is missing");
    }
}
