//! The JSON body of a call of the demo API. The error message begins with the name of the field.

use axum::extract::{FromRequest, Request};
use countersign_server::http::json_body::{BadBody, receive};
use http::StatusCode;
use serde::de::DeserializeOwned;

use crate::api::fault::Fault;

/// Parses the body as a `T`, whose `Deserialize` must refuse unknown fields.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        receive(request).await.map(Self).map_err(Into::into)
    }
}

impl From<BadBody> for Fault {
    fn from(bad: BadBody) -> Self {
        let reason = bad.reason();
        match bad {
            BadBody::NotJson => {
                let message = "Content-Type: must be application/json";
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_request", message)
            }
            BadBody::Unread(refusal) => refusal.into(),
            BadBody::Field { field, what } | BadBody::UnknownField { field, what } => {
                Self::bad_request(format!("{field}: {what}")).with_reason(reason)
            }
        }
    }
}
