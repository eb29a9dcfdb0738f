//! The metrics in the Prometheus text format. They never contain client IDs.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use crate::keys::rotation;
use crate::state::State;
use crate::usage::expiry;
use crate::usage::metrics::{BUCKETS_US, ConnectionCounts, Counted, Metrics};

/// Renders all metrics in the text format (version 0.0.4).
pub fn render(state: &State) -> String {
    let mut text = String::new();
    let counted = state.metrics.counted();
    render_authentications(&mut text, &counted);
    render_database_failures(&mut text, &state.metrics);
    render_passwords_and_durations(&mut text, &counted);
    render_connections(&mut text, &state.metrics.connections);
    gauge(
        &mut text,
        "countersign_requests_in_flight",
        "Requests that are being processed or are waiting.",
        state.admission.in_flight(),
    );
    gauge(
        &mut text,
        "countersign_requests_waiting",
        "Requests that are waiting for their turn.",
        state.admission.waiting(),
    );
    let now = state.now();
    let registry = state.registry.current();
    let fresh = i64::from(state.registry.check_fresh().is_ok());
    let expiring = expiry::find(&registry, now).len();
    gauge(&mut text, "countersign_registry_fresh", "Whether the registry of this node is fresh.", fresh);
    gauge(&mut text, "countersign_clients", "Registered clients.", registry.client_count());
    let help = "Secrets that expire within seven days.";
    gauge(&mut text, "countersign_secrets_expiring", help, expiring);
    let ages = registry.keys().lives().iter().filter(|key| key.state == countersign_store::KeyState::Active);
    let name = "countersign_signing_key_age_seconds";
    let _ =
        writeln!(text, "# HELP {name} How long the active key has been signing, by algorithm.\n# TYPE {name} gauge");
    for key in ages {
        let _ = writeln!(text, "{name}{{algorithm=\"{}\"}} {}", key.algorithm, rotation::age_s(key, now));
    }
    text
}

fn render_authentications(text: &mut String, counted: &Counted) {
    let name = "countersign_tokens_issued_total";
    let _ = writeln!(text, "# HELP {name} Token requests, by grant and result.\n# TYPE {name} counter");
    for ((grant, result), count) in &counted.tokens {
        let _ = writeln!(text, "{name}{{grant=\"{grant}\",result=\"{result}\"}} {count}");
    }
    let name = "countersign_client_authentication_failures_total";
    let _ = writeln!(text, "# HELP {name} Failed client authentications, by reason.\n# TYPE {name} counter");
    for (reason, count) in &counted.client_failures {
        let _ = writeln!(text, "{name}{{reason=\"{reason}\"}} {count}");
    }
}

fn render_database_failures(text: &mut String, metrics: &Metrics) {
    let name = "countersign_database_failures_total";
    let _ = writeln!(text, "# HELP {name} Database failures, by kind.\n# TYPE {name} counter");
    for (trouble, failures) in &*metrics.lock_database_failures() {
        let label: &str = trouble.into();
        let _ = writeln!(text, "{name}{{trouble=\"{label}\"}} {}", failures.count);
    }
}

fn render_passwords_and_durations(text: &mut String, counted: &Counted) {
    let name = "countersign_passwords_total";
    let _ = writeln!(text, "# HELP {name} Passwords presented, by result.\n# TYPE {name} counter");
    for (result, count) in &counted.passwords {
        let _ = writeln!(text, "{name}{{result=\"{result}\"}} {count}");
    }
    let name = "http_server_request_duration_seconds";
    let _ = writeln!(text, "# HELP {name} Duration of requests.\n# TYPE {name} histogram");
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
    let _ = writeln!(text, "# HELP {name} Connections closed because of a limit, by reason.\n# TYPE {name} counter");
    for (reason, count) in [("address", refused), ("room", closed_for_room)] {
        let _ = writeln!(text, "{name}{{reason=\"{reason}\"}} {}", count.load(Ordering::Relaxed));
    }
}

fn gauge(text: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
}

/// Formats microseconds as seconds, without rounding.
fn seconds(us: i64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use countersign_protocol::grant_type::GrantType;
    use http::{Method, StatusCode};

    use super::*;
    use crate::usage::metrics::route;

    #[test]
    fn durations_are_counted_in_cumulative_buckets() {
        let metrics = Metrics::default();
        for took_us in [400, 500, 700, 20_000_000] {
            metrics.count_request(&Method::POST, route("/oauth2/token/billing"), StatusCode::OK, took_us);
        }
        metrics.count_request(&Method::from_bytes(b"BREW").expect("a method"), route("/teapot"), StatusCode::OK, 1);
        metrics.count_token(Some(GrantType::Password), "issued");
        let mut text = String::new();
        render_authentications(&mut text, &metrics.counted());
        render_passwords_and_durations(&mut text, &metrics.counted());
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
