//! One log line a second for requests refused because of overload. A line for each would take more time than anything else
//! about refusing them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// The time between two lines, in milliseconds.
const QUIET_MS: i64 = 1000;

/// Counts the refusals since the last line.
#[derive(Debug, Default)]
pub(crate) struct OverloadLog {
    count: AtomicU64,
    quiet_until_ms: AtomicI64,
}

impl OverloadLog {
    /// Counts a refusal. Returns the number since the last line if another one is due.
    pub(crate) fn count(&self, now_ms: i64) -> Option<u64> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let until_ms = self.quiet_until_ms.load(Ordering::Relaxed);
        let is_due = now_ms >= until_ms;
        // Only one thread writes the line.
        let is_mine = is_due
            && self
                .quiet_until_ms
                .compare_exchange(until_ms, now_ms + QUIET_MS, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        is_mine.then(|| self.count.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_refusal_is_logged_and_then_one_line_a_second_with_their_number() {
        let log = OverloadLog::default();
        let counted = [0, 1, 999, 1000, 1001, 2500].map(|now_ms| log.count(now_ms));
        assert_eq!(counted, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
