//! Puts the admin routes behind our own guard, with the scopes of `admin-api` (`own_api.rs`).

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use countersign_guard::{Guard, Guarded, Verifier};
use countersign_protocol::path_rule::normalise;
use http::Request;
use tower::Layer;

use crate::admin::change_error::ChangeError;
use crate::admin::own_api::API;
use crate::http::admission::Place;
use crate::http::again;
use crate::http::answer;
use crate::http::caller::Caller;
use crate::state::State;

/// Puts these routes behind the guard of `admin-api`.
pub(crate) fn guarded(state: &State, routes: Router) -> Guarded<Router> {
    let clock = state.clock.clone();
    let verifier = Verifier::new(state.issuer.as_str(), state.registry.clone(), move || clock.now());
    let registry = state.registry.clone();
    Guard::new(verifier, move || registry.current().find_api(API).map(Arc::clone)).layer(routes)
}

/// Wraps every request in a separate task, so that a change completes even if the caller disconnects, and repeats it
/// if the database aborted it in favor of another transaction. Refuses an ambiguous path like the guard does, but as a
/// problem document.
pub(crate) async fn around(mut request: Request<Body>, next: Next) -> Response {
    if let Err(error) = normalise(request.uri().path()) {
        answer::log(&request, "ambiguous path");
        return ChangeError::invalid("path", error.to_string()).into_response();
    }
    // Otherwise, the outer router's path parameters would be counted among those of the inner routes.
    let caller = request.extensions_mut().remove::<Caller>();
    let place = request.extensions_mut().remove::<Arc<Place>>();
    request.extensions_mut().clear();
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    if let Some(place) = &place {
        request.extensions_mut().insert(place.clone());
    }
    let answering = async move {
        let response = again::answer(request, next).await;
        // The place is held until the change is complete, even if the caller has disconnected.
        drop(place);
        response
    };
    match tokio::spawn(answering).await {
        Ok(response) => response,
        Err(error) => ChangeError::internal(error).into_response(),
    }
}
