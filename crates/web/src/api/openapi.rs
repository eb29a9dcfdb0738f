//! `/api/openapi.json`: describes every call (OpenAPI 3.1).

use std::sync::Arc;

use axum::extract;
use axum::response::Response;
use countersign_server::http::answer::json_response;
use countersign_server::state::State;
use http::StatusCode;
use serde_json::{Value, json};

/// The document, without the URL of this server.
pub(crate) const DOCUMENT: &str = include_str!("openapi.json");

/// `GET openapi.json`: open to everyone, because it explains how to start.
pub(crate) async fn document(extract::State(state): extract::State<Arc<State>>) -> Response {
    // A test parses it.
    let mut document: Value = serde_json::from_str(DOCUMENT).unwrap_or_default();
    document["servers"] = json!([{ "url": state.issuer.join("/api") }]);
    json_response(StatusCode::OK, document.to_string())
}
