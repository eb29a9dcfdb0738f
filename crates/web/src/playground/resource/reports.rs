//! `/resource/reports`: a few reports in memory. One scope allows reading, another allows writing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract;
use axum::response::Response;
use countersign_guard::VerifiedToken;
use countersign_server::clock::Clock;
use countersign_server::http::answer::json_response;
use countersign_server::http::body;
use countersign_server::limits::MAX_REPORTS;
use countersign_server::oauth::refusal::to_response;
use countersign_server::state::State;
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The maximum length of a title, in characters.
const MAX_TITLE_CHARS: usize = 200;

/// The reports of this process.
#[derive(Clone, Debug)]
pub(crate) struct Reports {
    kept: Arc<Mutex<(u64, VecDeque<Report>)>>,
    clock: Clock,
}

#[derive(Clone, Debug, Serialize)]
struct Report {
    id: u64,
    title: String,
    author: String,
    created_at: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewReport {
    title: String,
}

impl Reports {
    pub(crate) fn new(state: &State) -> Self {
        Self { kept: Arc::default(), clock: state.clock.clone() }
    }

    fn add(&self, title: String, author: String) -> Report {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.0 += 1;
        let report = Report { id: kept.0, title, author, created_at: self.clock.now() };
        if kept.1.len() == MAX_REPORTS {
            kept.1.pop_front();
        }
        kept.1.push_back(report.clone());
        report
    }
}

/// `GET`: lists the reports, oldest first.
pub(crate) async fn list(extract::State(reports): extract::State<Reports>) -> Response {
    let kept = reports.kept.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
    json_response(StatusCode::OK, json!({ "reports": kept }).to_string())
}

/// `POST {"title": …}`: creates a report.
pub(crate) async fn create(
    extract::State(reports): extract::State<Reports>,
    VerifiedToken(claims): VerifiedToken,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let body = match body::read(body, &head.extensions).await {
        Ok(body) => body,
        Err(refusal) => return to_response(&refusal),
    };
    match read_title(&body) {
        Ok(title) => {
            let author = claims.unique_name.clone().unwrap_or_else(|| claims.subject.clone());
            json_response(StatusCode::CREATED, json!(reports.add(title, author)).to_string())
        }
        Err(description) => {
            let body = json!({ "error": "invalid_request", "error_description": description });
            json_response(StatusCode::BAD_REQUEST, body.to_string())
        }
    }
}

fn read_title(body: &[u8]) -> Result<String, String> {
    let report: NewReport = serde_json::from_slice(body).map_err(|error| format!("send {{\"title\": …}}: {error}"))?;
    match report.title.chars().count() {
        1..=MAX_TITLE_CHARS => Ok(report.title),
        _ => Err(format!("title must have 1 to {MAX_TITLE_CHARS} characters")),
    }
}
