//! This node's counters of requests, tokens and failures. None is per client.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_protocol::grant_type::GrantType;
use countersign_protocol::refusal::DatabaseTrouble;
use http::{Method, StatusCode};

use crate::per_thread::PerThread;
use crate::usage::overload_log::OverloadLog;

/// Upper bounds of the histogram's buckets in microseconds. A token takes about half a millisecond.
pub(super) const BUCKETS_US: [i64; 11] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000, 10_000_000];
/// Methods with their own label. All others share one.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Path prefixes and their labels. The first match counts.
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
/// After a database failure is logged, others of its kind are only counted for this long.
const QUIET_MS: i64 = 60_000;

/// The counters since the start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    counted: PerThread<Counted>,
    database_failures: Mutex<BTreeMap<DatabaseTrouble, DatabaseFailures>>,
    /// Counters of closed connections.
    pub(crate) connections: ConnectionCounts,
    /// Counts refusals under overload for the log.
    pub(crate) overload_log: OverloadLog,
}

/// Database failures of one kind.
#[derive(Debug, Default)]
pub(super) struct DatabaseFailures {
    pub(super) count: u64,
    /// No further failure is logged before this time.
    quiet_until_ms: i64,
}

/// Connections that the server closed.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCounts {
    /// Closed immediately, because their address had too many.
    pub(crate) refused: AtomicU64,
    /// Closed while idle, to make room for another connection.
    pub(crate) closed_for_room: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) requests: BTreeMap<(&'static str, &'static str, u16), Durations>,
    pub(super) tokens: BTreeMap<(&'static str, &'static str), u64>,
    pub(super) client_failures: BTreeMap<&'static str, u64>,
    pub(super) passwords: BTreeMap<&'static str, u64>,
}

/// The number of requests in each bucket, not cumulative.
#[derive(Debug, Default)]
pub(super) struct Durations {
    pub(super) buckets: [u64; BUCKETS_US.len() + 1],
    pub(super) sum_us: i64,
}

impl Counted {
    fn add(&mut self, other: &Self) {
        for (labels, durations) in &other.requests {
            let sum = self.requests.entry(*labels).or_default();
            sum.sum_us += durations.sum_us;
            for (sum, count) in sum.buckets.iter_mut().zip(durations.buckets) {
                *sum += count;
            }
        }
        add_counts(&mut self.tokens, &other.tokens);
        add_counts(&mut self.client_failures, &other.client_failures);
        add_counts(&mut self.passwords, &other.passwords);
    }
}

fn add_counts<K: Copy + Ord>(sum: &mut BTreeMap<K, u64>, counts: &BTreeMap<K, u64>) {
    for (labels, count) in counts {
        *sum.entry(*labels).or_default() += count;
    }
}

/// Returns the label of a path. The guide's tenant paths have the label of their endpoint.
pub(crate) fn route(path: &str) -> &'static str {
    let lies_under = |begins: &str| {
        path.strip_prefix(begins).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || begins.ends_with('/'))
    };
    ROUTES.iter().find(|(begins, _)| lies_under(begins)).map_or(OTHER, |(_, label)| label)
}

impl Metrics {
    /// Counts a completed request.
    pub(crate) fn count_request(&self, method: &Method, route: &'static str, status: StatusCode, took_us: i64) {
        let method = METHODS.into_iter().find(|known| method == *known).unwrap_or(OTHER);
        let mut counted = self.counted.own();
        let durations = counted.requests.entry((method, route, status.as_u16())).or_default();
        let bucket = BUCKETS_US.iter().position(|most| took_us <= *most).unwrap_or(BUCKETS_US.len());
        durations.buckets[bucket] += 1;
        durations.sum_us += took_us;
    }

    /// Counts the result of a token request: `issued`, or the `error` in the response.
    pub(crate) fn count_token(&self, grant: Option<GrantType>, result: &'static str) {
        *self.counted.own().tokens.entry((grant.map_or(OTHER, GrantType::as_str), result)).or_default() += 1;
    }

    /// Counts a failed client authentication.
    pub(crate) fn count_client_failure(&self, reason: &'static str) {
        *self.counted.own().client_failures.entry(reason).or_default() += 1;
    }

    /// Counts the result of a password: `right`, `wrong`, or `waiting` and `locked` if it was not checked.
    pub(crate) fn count_password(&self, result: &'static str) {
        *self.counted.own().passwords.entry(result).or_default() += 1;
    }

    /// Counts a database failure. Returns true if it must be logged: one of each kind per minute.
    pub(crate) fn count_database_failure(&self, trouble: DatabaseTrouble, now_ms: i64) -> bool {
        let mut all = self.lock_database_failures();
        let failures = all.entry(trouble).or_default();
        failures.count += 1;
        let is_told = failures.count == 1 || failures.quiet_until_ms <= now_ms;
        if is_told {
            failures.quiet_until_ms = now_ms + QUIET_MS;
        }
        is_told
    }

    /// The sum over all threads.
    pub(super) fn counted(&self) -> Counted {
        let mut sum = Counted::default();
        self.counted.all().for_each(|part| sum.add(&part));
        sum
    }

    /// The database failures.
    pub(super) fn lock_database_failures(&self) -> MutexGuard<'_, BTreeMap<DatabaseTrouble, DatabaseFailures>> {
        self.database_failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
