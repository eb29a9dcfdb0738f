//! What operators watch, in the text format of Prometheus: counters, durations and dates, never a client id.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_protocol::grant_type::GrantType;
use countersign_protocol::refusal::DatabaseTrouble;
use http::{Method, StatusCode};

use crate::keys::rotation;
use crate::state::State;
use crate::usage::expiry;

/// Upper bounds of the duration's buckets, in microseconds: half a millisecond is a token, ten seconds are too many.
const BUCKETS_US: [i64; 11] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000, 10_000_000];
/// Methods that have a label of their own; any other text is one.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Addresses that have a label of their own, as `(what a path begins with, label)`; the first that fits counts.
const ROUTES: [(&str, &str); 14] = [
    ("/oauth2/token", "/oauth2/token"),
    ("/oauth2/introspect", "/oauth2/introspect"),
    ("/oauth2/revoke", "/oauth2/revoke"),
    ("/oauth2/jwks", "/oauth2/jwks"),
    ("/oauth2/keys", "/oauth2/keys"),
    ("/.well-known/", "/.well-known"),
    ("/admin", "/admin"),
    ("/api", "/api"),
    ("/resource", "/resource"),
    ("/static/", "/static"),
    ("/livez", "/livez"),
    ("/readyz", "/readyz"),
    ("/healthz", "/healthz"),
    ("/metrics", "/metrics"),
];
const OTHER: &str = "other";
/// After a failure of the database was logged, others of its kind are only counted for so long.
const QUIET_MS: i64 = 60_000;

/// What this node has counted since it was started.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    counted: Mutex<Counted>,
    /// What became of connections.
    pub(crate) connections: ConnectionCounts,
}

/// Failures of the database of one kind.
#[derive(Debug, Default)]
struct DatabaseFailures {
    count: u64,
    /// Until then nothing more of it is logged.
    quiet_until_ms: i64,
}

/// Connections that were not kept.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCounts {
    /// Closed at once: their address had too many.
    pub(crate) refused: AtomicU64,
    /// Closed while idle: another needed the room.
    pub(crate) closed_for_room: AtomicU64,
}

#[derive(Debug, Default)]
struct Counted {
    requests: BTreeMap<(&'static str, &'static str, u16), Durations>,
    tokens: BTreeMap<(&'static str, &'static str), u64>,
    client_failures: BTreeMap<&'static str, u64>,
    database_failures: BTreeMap<DatabaseTrouble, DatabaseFailures>,
    passwords: BTreeMap<&'static str, u64>,
}

/// How many requests took at most so long, each bucket for itself.
#[derive(Debug, Default)]
struct Durations {
    buckets: [u64; BUCKETS_US.len() + 1],
    sum_us: i64,
}

/// The label of a path; of the guide's tenant paths, the endpoint's.
pub(crate) fn route(path: &str) -> &'static str {
    let lies_under = |begins: &str| {
        path.strip_prefix(begins).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || begins.ends_with('/'))
    };
    ROUTES.iter().find(|(begins, _)| lies_under(begins)).map_or(OTHER, |(_, label)| label)
}

impl Metrics {
    /// Counts an answered request.
    pub(crate) fn count_request(&self, method: &Method, route: &'static str, status: StatusCode, took_us: i64) {
        let method = METHODS.into_iter().find(|known| method == *known).unwrap_or(OTHER);
        let mut counted = self.lock();
        let durations = counted.requests.entry((method, route, status.as_u16())).or_default();
        let bucket = BUCKETS_US.iter().position(|most| took_us <= *most).unwrap_or(BUCKETS_US.len());
        durations.buckets[bucket] += 1;
        durations.sum_us += took_us;
    }

    /// Counts what a token request came to: `issued`, or the error that its caller was told.
    pub(crate) fn count_token(&self, grant: Option<GrantType>, result: &'static str) {
        *self.lock().tokens.entry((grant.map_or(OTHER, GrantType::as_str), result)).or_default() += 1;
    }

    /// Counts a client that did not prove who it is.
    pub(crate) fn count_client_failure(&self, reason: &'static str) {
        *self.lock().client_failures.entry(reason).or_default() += 1;
    }

    /// Counts what somebody's password came to: `right`, `wrong`, or not looked at, `waiting` or `locked`.
    pub(crate) fn count_password(&self, result: &'static str) {
        *self.lock().passwords.entry(result).or_default() += 1;
    }

    /// Counts a failure of the database; true if it is to be logged, which one of each kind and minute is.
    pub(crate) fn count_database_failure(&self, trouble: DatabaseTrouble, now_ms: i64) -> bool {
        let mut counted = self.lock();
        let failures = counted.database_failures.entry(trouble).or_default();
        failures.count += 1;
        let is_told = failures.count == 1 || failures.quiet_until_ms <= now_ms;
        if is_told {
            failures.quiet_until_ms = now_ms + QUIET_MS;
        }
        is_told
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that is known now, in the text format (version 0.0.4).
pub(crate) fn render(state: &State) -> String {
    let mut text = String::new();
    render_counted(&mut text, &state.metrics.lock());
    render_connections(&mut text, &state.metrics.connections);
    gauge(
        &mut text,
        "countersign_requests_in_flight",
        "Requests that are worked on or wait.",
        state.admission.in_flight(),
    );
    gauge(
        &mut text,
        "countersign_requests_waiting",
        "Of them, those that wait for their turn.",
        state.admission.waiting(),
    );
    let now = state.now();
    let registry = state.registry.current();
    let fresh = i64::from(state.registry.check_fresh().is_ok());
    let expiring = expiry::find(&registry, now).len();
    gauge(&mut text, "countersign_registry_fresh", "Whether what this node decides on is fresh.", fresh);
    gauge(&mut text, "countersign_clients", "Registered clients.", registry.client_count());
    let help = "Secrets that expire within seven days.";
    gauge(&mut text, "countersign_secrets_expiring", help, expiring);
    let ages = registry.keys().lives().iter().filter(|key| key.state == countersign_store::KeyState::Active);
    let name = "countersign_signing_key_age_seconds";
    let _ = writeln!(text, "# HELP {name} How long the active key of an algorithm has signed.\n# TYPE {name} gauge");
    for key in ages {
        let _ = writeln!(text, "{name}{{algorithm=\"{}\"}} {}", key.algorithm, rotation::age_s(key, now));
    }
    text
}

fn render_counted(text: &mut String, counted: &Counted) {
    let name = "countersign_tokens_issued_total";
    let _ = writeln!(text, "# HELP {name} Token requests, by grant and what they came to.\n# TYPE {name} counter");
    for ((grant, result), count) in &counted.tokens {
        let _ = writeln!(text, "{name}{{grant=\"{grant}\",result=\"{result}\"}} {count}");
    }
    let name = "countersign_client_authentication_failures_total";
    let _ = writeln!(text, "# HELP {name} Failed client authentications, by reason.\n# TYPE {name} counter");
    for (reason, count) in &counted.client_failures {
        let _ = writeln!(text, "{name}{{reason=\"{reason}\"}} {count}");
    }
    let name = "countersign_database_failures_total";
    let _ = writeln!(text, "# HELP {name} What the database could not do.\n# TYPE {name} counter");
    for (trouble, failures) in &counted.database_failures {
        let label = match trouble {
            DatabaseTrouble::Lost => "lost",
            DatabaseTrouble::Replaced => "replaced",
            DatabaseTrouble::Slow => "slow",
            DatabaseTrouble::ReadOnly => "read_only",
            DatabaseTrouble::Full => "full",
        };
        let _ = writeln!(text, "{name}{{trouble=\"{label}\"}} {}", failures.count);
    }
    let name = "countersign_passwords_total";
    let _ = writeln!(text, "# HELP {name} Passwords of people, by what they came to.\n# TYPE {name} counter");
    for (result, count) in &counted.passwords {
        let _ = writeln!(text, "{name}{{result=\"{result}\"}} {count}");
    }
    let name = "http_server_request_duration_seconds";
    let _ = writeln!(text, "# HELP {name} How long requests took.\n# TYPE {name} histogram");
    for ((method, route, status), durations) in &counted.requests {
        let labels =
            format!("http_request_method=\"{method}\",http_route=\"{route}\",http_response_status_code=\"{status}\"");
        let mut below = 0;
        for (count, most_us) in durations.buckets.iter().zip(BUCKETS_US) {
            below += count;
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{}\"}} {below}", seconds(most_us));
        }
        let all = durations.buckets.iter().sum::<u64>();
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {all}");
        let _ = writeln!(text, "{name}_sum{{{labels}}} {}", seconds(durations.sum_us));
        let _ = writeln!(text, "{name}_count{{{labels}}} {all}");
    }
}

fn render_connections(text: &mut String, ConnectionCounts { refused, closed_for_room }: &ConnectionCounts) {
    let name = "countersign_connections_closed_total";
    let _ = writeln!(text, "# HELP {name} Connections closed to keep to bounds, by reason.\n# TYPE {name} counter");
    for (reason, count) in [("address", refused), ("room", closed_for_room)] {
        let _ = writeln!(text, "{name}{{reason=\"{reason}\"}} {}", count.load(Ordering::Relaxed));
    }
}

fn gauge(text: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
}

/// Microseconds as seconds, without rounding.
fn seconds(us: i64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_buckets_that_add_up() {
        let metrics = Metrics::default();
        for took_us in [400, 500, 700, 20_000_000] {
            metrics.count_request(&Method::POST, route("/oauth2/token/billing"), StatusCode::OK, took_us);
        }
        metrics.count_request(&Method::from_bytes(b"BREW").expect("a method"), route("/teapot"), StatusCode::OK, 1);
        metrics.count_token(Some(GrantType::Password), "issued");
        let mut text = String::new();
        render_counted(&mut text, &metrics.lock());
        for line in [
            "countersign_tokens_issued_total{grant=\"password\",result=\"issued\"} 1",
            "{http_request_method=\"POST\",http_route=\"/oauth2/token\",http_response_status_code=\"200\",le=\"0.0005\"} 2",
            "{http_request_method=\"POST\",http_route=\"/oauth2/token\",http_response_status_code=\"200\",le=\"10\"} 3",
            "{http_request_method=\"POST\",http_route=\"/oauth2/token\",http_response_status_code=\"200\",le=\"+Inf\"} 4",
            "_sum{http_request_method=\"POST\",http_route=\"/oauth2/token\",http_response_status_code=\"200\"} 20.0016",
            "_count{http_request_method=\"other\",http_route=\"other\",http_response_status_code=\"200\"} 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
