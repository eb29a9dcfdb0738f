//! The only module of the bench that reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The current time, to measure from.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The Unix time in seconds.
#[expect(clippy::disallowed_methods, reason = "seeded rows have the same dates as the server's")]
pub(crate) fn unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
