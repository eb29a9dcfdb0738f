//! `/protocols`: one card per protocol.

use askama::Template;
use axum::response::Response;
use http::StatusCode;

use crate::pages::layout::{Frame, respond};
use crate::pages::login::to_sign_in;
use crate::pages::visitor::Visitor;

#[derive(Template)]
#[template(path = "protocols.html")]
struct Protocols {
    frame: Frame,
}

/// `GET /protocols`
pub(crate) async fn protocols(visitor: Visitor) -> Response {
    let Some(person) = visitor.person else {
        return to_sign_in("/protocols");
    };
    respond(StatusCode::OK, &Protocols { frame: Frame::of_text("Login Protocols", "/protocols", Some(person)) })
}
