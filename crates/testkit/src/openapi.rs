//! Checks the admin API's responses against its OpenAPI document. An undocumented operation, status or member fails the
//! story.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use countersign_server::ADMIN_DOCUMENT;
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::actor::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(ADMIN_DOCUMENT).unwrap());
/// Every schema of the document, by its reference.
static SCHEMAS: LazyLock<BTreeMap<String, Validator>> = LazyLock::new(|| {
    let strictness = jsonschema::validator_for(&strictness()).unwrap();
    let schemas = DOCUMENT["components"]["schemas"].as_object().unwrap().iter();
    let compiled = schemas.map(|(name, schema)| {
        strictness.validate(schema).unwrap_or_else(|fault| panic!("{name}{}: {fault}", fault.instance_path()));
        (format!("#/components/schemas/{name}"), compile(schema))
    });
    compiled.collect()
});

/// The responses of one server to administrators, as `METHOD PATH STATUS`. Stories do not share it, so that a response in
/// one story cannot hide that another one lacks it.
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

/// Fails unless the document has the operation, the response and all members of both bodies. Records the response.
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
        let content = &operation["requestBody"]["content"]["application/json"];
        check(content, body, &format!("{met}: the request"));
    }
    let media_type = answer.header("content-type").split(';').next().unwrap_or_default();
    match described["content"].get(media_type) {
        Some(content) => check(content, &answer.json(), &met),
        None => assert!(answer.body.is_empty(), "{met}: {media_type} is not documented: {answer}"),
    }
    met_here.insert(met);
}

/// Every operation and response of the document, as `METHOD PATH STATUS`.
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

/// Finds the operation of a path. A fixed segment matches before a parameter, as in the router.
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

/// Fails unless the schema accepts the body of a request or response.
fn check(content: &Value, body: &Value, place: &str) {
    let reference = content["schema"]["$ref"].as_str().unwrap_or_default();
    let schema = SCHEMAS.get(reference).unwrap_or_else(|| panic!("{place}: no schema {reference:?} in the document"));
    let faults = find_faults(schema, body);
    assert!(faults.is_empty(), "{place}: {faults:#?}");
}

fn find_faults(schema: &Validator, body: &Value) -> Vec<String> {
    schema.iter_errors(body).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
}

/// Compiles a schema of the document. Its references point to the document's `components`.
fn compile(schema: &Value) -> Validator {
    let mut root = schema.clone();
    root["components"] = DOCUMENT["components"].clone();
    jsonschema::validator_for(&root).unwrap_or_else(|error| panic!("{schema}: {error}"))
}

/// Requires that every schema has a type, and that objects allow no additional members. Otherwise, a schema would accept
/// undocumented data.
fn strictness() -> Value {
    json!({
        "anyOf": [{ "required": ["type"] }, { "required": ["$ref"] }],
        "dependentSchemas": { "properties": { "required": ["additionalProperties"] } },
        "properties": {
            "properties": { "additionalProperties": { "$ref": "#" } },
            "items": { "$ref": "#" },
            "additionalProperties": { "const": false },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_violates_its_schema_is_reported_with_the_path() {
        let scope = json!({ "name": "read", "description": "", "rules": ["GET /"], "default": true });
        let page = |scope: Value| {
            find_faults(&SCHEMAS["#/components/schemas/ScopePage"], &json!({ "items": [scope], "next": null }))
        };
        assert_eq!(page(scope.clone()), [""; 0]);
        for (member, value, fault) in [
            ("colour", json!("red"), "/items/0: Additional properties are not allowed ('colour' was unexpected)"),
            ("default", json!("yes"), "/items/0/default: \"yes\" is not of type \"boolean\""),
            ("rules", json!([1]), "/items/0/rules/0: 1 is not of type \"string\""),
        ] {
            let mut other = scope.clone();
            other[member] = value;
            assert_eq!(page(other), [fault]);
        }
        assert_eq!(
            page(json!({ "name": "read", "description": "", "default": true })),
            ["/items/0: \"rules\" is a required property"]
        );
    }

    #[test]
    fn a_schema_that_accepts_undocumented_members_is_refused() {
        let strictness = jsonschema::validator_for(&strictness()).unwrap();
        let closed =
            json!({ "type": "object", "additionalProperties": false, "properties": { "x": { "type": "string" } } });
        assert_eq!(find_faults(&strictness, &closed), [""; 0]);
        for (pointer, loose) in [
            ("", json!({ "type": "object", "properties": {} })),
            ("/properties/x", json!({ "description": "of any type" })),
            ("/properties/x", json!({ "type": "array", "items": {} })),
            ("/additionalProperties", json!(true)),
        ] {
            let mut schema = closed.clone();
            *schema.pointer_mut(pointer).unwrap() = loose;
            assert_eq!(find_faults(&strictness, &schema).len(), 1, "{schema}");
        }
    }
}
