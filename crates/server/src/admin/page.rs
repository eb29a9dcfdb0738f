//! Lists in pages, oldest first: `?after=ID&limit=N`.

use axum::response::Response;
use countersign_protocol::form::Form;
use countersign_store::{EntryKind, Place};
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use crate::admin::change_error::ChangeError;
use crate::http::answer::json_response;
use crate::registry::Registry;
use crate::state::State;

/// How many of the objects that prevent a deletion are named.
pub(crate) const MAX_NAMED: i64 = 5;
/// The default and the maximum page size.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
/// The number of rows to read at once. It is more than a page, so that one read is usually enough.
const PLACES_AT_ONCE: i64 = 1001;

/// The query of a request. Unknown parameters are refused.
pub(crate) struct Query(Form);

impl Query {
    /// Parses the query.
    pub(crate) fn parse(uri: &Uri, known: &[&str]) -> Result<Self, ChangeError> {
        let form = Form::parse(uri.query().unwrap_or_default().as_bytes());
        let form = form.map_err(|refusal| ChangeError::invalid("query", refusal.to_string()))?;
        if let Some(unknown) = form.names().find(|name| !known.contains(name)) {
            return Err(ChangeError::invalid(unknown, format!("unknown parameter; known: {}", known.join(" "))));
        }
        Ok(Self(form))
    }

    /// Returns a parameter.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.find(name)
    }

    /// Returns a parameter that may not be empty. For a form, an empty one would count as missing.
    fn given(&self, name: &str) -> Option<&str> {
        self.find(name).or_else(|| self.0.names().any(|known| known == name).then_some(""))
    }

    /// Returns a parameter that is `true` or `false`. The default is false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ChangeError> {
        match self.given(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ChangeError::invalid(name, "must be true or false")),
        }
    }

    /// Parses a whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, ChangeError> {
        let parse = |text: &str| text.parse().map_err(|_| ChangeError::invalid(name, "must be a whole number"));
        self.given(name).map(parse).transpose()
    }

    /// Returns the page size.
    pub(crate) fn limit(&self) -> Result<usize, ChangeError> {
        let limit = self.number("limit")?.map(usize::try_from).transpose();
        match limit {
            Ok(None) => Ok(DEFAULT_LIMIT),
            Ok(Some(limit)) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
            _ => Err(ChangeError::invalid("limit", format!("must be from 1 to {MAX_LIMIT}"))),
        }
    }
}

/// Returns the page after `after`, from sorted items with their IDs: `{"items": […], "next": ID or null}`.
pub(crate) fn page<T>(
    query: &Query,
    items: Vec<T>,
    id: impl Fn(&T) -> &str,
    show: impl Fn(&T) -> Value,
) -> Result<Response, ChangeError> {
    let limit = query.limit()?;
    let begin = match query.find("after") {
        None => 0,
        Some(after) => {
            let at = items.iter().position(|item| id(item) == after);
            at.ok_or_else(|| ChangeError::invalid("after", "must be the last item of the previous page"))? + 1
        }
    };
    let shown = items.get(begin..).unwrap_or_default().iter().take(limit);
    let next = items.get(begin + limit).and(items.get(begin + limit - 1)).map(id);
    Ok(list(shown.map(show).collect(), next))
}

/// Returns the page after `after` of all APIs, clients or users. `show` returns `None` for objects that are not listed.
pub(crate) async fn page_of_kind(
    state: &State,
    query: &Query,
    kind: EntryKind,
    show: impl Fn(&Registry, &str) -> Option<Value>,
) -> Result<Response, ChangeError> {
    let limit = query.limit()?;
    let registry = state.registry.current().clone();
    let mut after = match query.find("after") {
        None => Place::default(),
        Some(id) => {
            let note = registry
                .find_note(kind, id)
                .ok_or_else(|| ChangeError::invalid("after", "must be the last item of the previous page"))?;
            Place { created_change: note.created_change, id: id.to_owned() }
        }
    };
    let mut items: Vec<(String, Value)> = Vec::new();
    while items.len() <= limit {
        let places = state.store.list_places(kind, &after, PLACES_AT_ONCE).await?;
        let Some(last) = places.last() else { break };
        after = last.clone();
        for Place { id, .. } in places {
            items.extend(show(&registry, &id).map(|item| (id, item)));
        }
    }
    Ok(cut(items, limit))
}

/// Returns the page after `after` of the clients with an entitlement to an API, by ID. `show` returns `None` for clients
/// that are not listed.
pub(crate) async fn page_of_entitled(
    state: &State,
    query: &Query,
    api: &str,
    show: impl Fn(&Registry, &str) -> Option<Value>,
) -> Result<Response, ChangeError> {
    let limit = query.limit()?;
    let registry = state.registry.current().clone();
    let mut after = query.find("after").unwrap_or_default().to_owned();
    let mut items: Vec<(String, Value)> = Vec::new();
    while items.len() <= limit {
        let ids = state.store.list_entitled_after(api, &after, PLACES_AT_ONCE).await?;
        let Some(last) = ids.last() else { break };
        after.clone_from(last);
        for id in ids {
            items.extend(show(&registry, &id).map(|item| (id, item)));
        }
    }
    Ok(cut(items, limit))
}

/// Returns a page of items with their IDs, of which there is one too many if another page follows.
fn cut(mut items: Vec<(String, Value)>, limit: usize) -> Response {
    let next = items.get(limit).and(items.get(limit - 1)).map(|(id, _)| id.clone());
    items.truncate(limit);
    list(items.into_iter().map(|(_, item)| item).collect(), next.as_deref())
}

/// Returns a page as a response.
pub(crate) fn list(items: Vec<Value>, next: Option<&str>) -> Response {
    json_response(StatusCode::OK, json!({ "items": items, "next": next }).to_string())
}
