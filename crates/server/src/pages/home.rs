//! `/`: what this is, where to begin, and the same without a person.

use std::sync::Arc;

use askama::Template;
use axum::extract;
use axum::response::Response;
use http::StatusCode;

use crate::demo::settings::Settings;
use crate::pages::error;
use crate::pages::layout::{Frame, respond};
use crate::pages::m2m::Chosen;
use crate::pages::session::Visitor;
use crate::state::State;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    frame: Frame,
    curl: String,
    has_client: bool,
}

/// `GET /`
pub(crate) async fn home(extract::State(state): extract::State<Arc<State>>, visitor: Visitor) -> Response {
    let chosen = match Settings::load(&state) {
        Ok(settings) => Chosen::from(settings),
        Err(fault) => return error::failed(fault.into()),
    };
    let client_id = chosen.client_id.as_deref();
    let page = Home {
        frame: Frame::of_text("OAuth 2 for machines", "/", visitor.person),
        curl: curl(client_id.unwrap_or("$CLIENT_ID"), &state.issuer.join("/oauth2/token")),
        has_client: client_id.is_some(),
    };
    respond(StatusCode::OK, &page)
}

/// One line that works when pasted. What a client id may hold that a shell reads is escaped.
fn curl(client_id: &str, token_endpoint: &str) -> String {
    let mut quoted = String::new();
    for character in client_id.chars() {
        if matches!(character, '"' | '\\' | '`') || (character == '$' && client_id != "$CLIENT_ID") {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    format!(r#"curl -u "{quoted}:$CLIENT_SECRET" -d grant_type=client_credentials {token_endpoint}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_is_no_shell() {
        let line = |id: &str| curl(id, "http://127.0.0.1:8080/oauth2/token");
        let tail = ":$CLIENT_SECRET\" -d grant_type=client_credentials http://127.0.0.1:8080/oauth2/token";
        assert_eq!(line("demo-service"), format!("curl -u \"demo-service{tail}"));
        assert_eq!(line("$CLIENT_ID"), format!("curl -u \"$CLIENT_ID{tail}"));
        assert_eq!(line("a`id`$(id)\"\\"), format!("curl -u \"a\\`id\\`\\$(id)\\\"\\\\{tail}"));
    }
}
