//! `/settings`: the client that the playground uses. Administrators only.

use std::sync::Arc;

use askama::Template;
use axum::extract;
use axum::response::Response;
use countersign_server::state::State;
use http::StatusCode;

use crate::pages::error::ErrorPage;
use crate::pages::layout::{Frame, respond};
use crate::pages::login::to_sign_in;
use crate::pages::visitor::Visitor;

#[derive(Template)]
#[template(path = "settings.html")]
struct Settings {
    frame: Frame,
    tenant_url: String,
}

/// `GET /settings`
pub(crate) async fn settings(extract::State(state): extract::State<Arc<State>>, visitor: Visitor) -> Response {
    let Some(person) = visitor.person else {
        return to_sign_in("/settings");
    };
    if !person.is_administrator {
        return ErrorPage {
            status: 403,
            words: format!(
                "You are signed in as {}. Only administrators can change the Settings. Ask one, or sign in as one.",
                person.login
            ),
            frame: Frame::of_text("Settings are for administrators", "/settings", Some(person)),
            request_id: None,
            links: vec![("/protocols", "Back to the protocols")],
        }
        .respond();
    }
    let frame = Frame::new("Settings", "/settings", Some(person));
    respond(StatusCode::OK, &Settings { frame, tenant_url: state.issuer.to_string() })
}
