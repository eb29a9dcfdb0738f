//! `/account`: the second factor, the password, and the sessions.

use askama::Template;
use axum::response::Response;
use http::StatusCode;

use crate::pages::layout::{Frame, respond};
use crate::pages::login::to_sign_in;
use crate::pages::visitor::Visitor;

#[derive(Template)]
#[template(path = "account.html")]
struct Account {
    frame: Frame,
    login: String,
    is_administrator: bool,
    has_second_factor: bool,
}

/// `GET /account`
pub(crate) async fn account(visitor: Visitor) -> Response {
    let Some(person) = visitor.person else {
        return to_sign_in("/account");
    };
    let page = Account {
        login: person.login.clone(),
        is_administrator: person.is_administrator,
        has_second_factor: person.has_second_factor,
        frame: Frame::new("Account", "/account", Some(person)),
    };
    respond(StatusCode::OK, &page)
}
