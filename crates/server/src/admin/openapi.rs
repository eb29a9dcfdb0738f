//! `/admin/v1/openapi.json`: describes every operation (OpenAPI 3.1).

use std::sync::Arc;

use axum::extract;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::http::answer::json_response;
use crate::state::State;

/// The document, without the URL of this server.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// `GET openapi.json`: open to everyone, because it explains how to start.
pub(crate) async fn document(extract::State(state): extract::State<Arc<State>>) -> Response {
    // A test parses it.
    let mut document: Value = serde_json::from_str(DOCUMENT).unwrap_or_default();
    document["servers"] = json!([{ "url": state.issuer.join("/admin/v1") }]);
    let flow = &mut document["components"]["securitySchemes"]["admin-api"]["flows"]["clientCredentials"];
    flow["tokenUrl"] = json!(state.issuer.join("/oauth2/token"));
    json_response(StatusCode::OK, document.to_string())
}
