//! How long the endpoint behind a call took (W3C Server Timing).

use axum::response::Response;
use http::HeaderValue;
use http::header::HeaderName;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The duration and the status of the endpoint behind a call (W3C Server Timing).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// The name of the endpoint.
    pub(crate) name: &'static str,
    /// The duration in microseconds.
    pub(crate) took_us: i64,
    /// The status, if there was a response.
    pub(crate) status: Option<u16>,
}

impl Timing {
    /// Sets the `Server-Timing` header.
    pub(crate) fn set(self, response: &mut Response) {
        let (whole, part) = (self.took_us / 1000, self.took_us % 1000);
        let status = self.status.map(|status| format!(";desc=\"{status}\"")).unwrap_or_default();
        let text = format!("{};dur={whole}.{part:03}{status}", self.name);
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(SERVER_TIMING, value);
        }
    }
}
