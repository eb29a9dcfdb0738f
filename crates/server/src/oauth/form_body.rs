//! The form body of an OAuth request, read completely, with a timeout and a size limit.

use std::sync::Arc;

use axum::body::Body;
use countersign_protocol::form::Form;
use countersign_protocol::refusal::Refusal;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Request};

use crate::http::body;
use crate::http::origin::{find_foreign, is_named};
use crate::oauth::exchange::Exchange;
use crate::state::State;

/// Refuses requests from pages of other origins, unless they are listed, then reads and parses the body.
pub(crate) async fn receive(
    state: &State,
    exchange: &mut Exchange,
    request: Request<Body>,
) -> Result<(HeaderMap, Arc<Form>), Refusal> {
    let (head, body) = request.into_parts();
    if !is_named(state, &head.headers)
        && let Some(reason) = find_foreign(state, &head.headers)
    {
        return Err(Refusal::ForeignPage(reason));
    }
    let form = Arc::new(read_form(&head, body).await?);
    exchange.form = Some(form.clone());
    Ok((head.headers, form))
}

/// Refuses parameters in the URL, because URLs are logged.
async fn read_form(head: &Parts, body: Body) -> Result<Form, Refusal> {
    if head.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(Refusal::ParametersInUrl);
    }
    check_headers(&head.headers)?;
    Form::parse(&body::read(body, &head.extensions).await?)
}

fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Refusal::ContentEncoding);
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let only = types.next().filter(|_| types.next().is_none());
    let text = only.and_then(|value| value.to_str().ok()).ok_or(Refusal::NotAForm)?;
    if is_form_in_utf8(text) { Ok(()) } else { Err(Refusal::NotAForm) }
}

/// True for `application/x-www-form-urlencoded`, without a charset or with utf-8 (RFC 6749 appendix B).
fn is_form_in_utf8(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let is_form = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    is_form
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}
