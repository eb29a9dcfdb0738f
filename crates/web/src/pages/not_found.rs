//! The response for an unknown path.

use std::sync::Arc;

use axum::extract::{self, FromRequestParts, Request};
use axum::response::Response;
use countersign_server::http::answer;
use countersign_server::http::caller::REQUEST_ID;
use countersign_server::state::State;

use crate::pages::error::{ErrorPage, wants_page};
use crate::pages::layout::Frame;
use crate::pages::visitor::Visitor;

/// Returns a page for browsers, and JSON for all other clients.
pub(crate) async fn not_found(extract::State(state): extract::State<Arc<State>>, request: Request) -> Response {
    if !wants_page(request.headers()) {
        return answer::not_found(request).await;
    }
    answer::log(&request, "unknown page");
    let (mut asked, _) = request.into_parts();
    // If the visitor cannot be identified, the page shows no user.
    let person = Visitor::from_request_parts(&mut asked, &state).await.ok().and_then(|visitor| visitor.person);
    let page = ErrorPage {
        frame: Frame::of_text("Page not found", "", person),
        status: 404,
        words: "The URL may be mistyped, or the page may have moved.".to_owned(),
        request_id: asked.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).map(str::to_owned),
        links: vec![("/", "Go to the home page")],
    };
    page.respond()
}
