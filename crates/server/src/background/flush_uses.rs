//! Stores the collected uses: when credentials were last used, and for how many tokens.

use std::sync::atomic::Ordering;

use crate::background::report::report;
use crate::limits::{FLUSH_SHARE, MAX_FLUSH_REST_MS};
use crate::state::State;
use crate::usage::uses::Use;

/// Stores the collected uses, unless the last time took long and was recently. With many active clients, storing each use
/// would take as long as issuing its token.
pub async fn run_if_due(state: &State) {
    let began_at_ms = state.clock.monotonic_ms();
    if began_at_ms < state.uses.rest_until_ms.load(Ordering::Relaxed) {
        return;
    }
    run_once(state).await;
    let took_ms = state.clock.monotonic_ms() - began_at_ms;
    state.uses.rest_until_ms.store(began_at_ms + rest_ms(took_ms), Ordering::Relaxed);
}

/// Returns how long to wait after storing took this long.
fn rest_ms(took_ms: i64) -> i64 {
    took_ms.saturating_mul(FLUSH_SHARE).min(MAX_FLUSH_REST_MS)
}

/// Stores the collected uses. Keeps what cannot be stored for the next time.
pub async fn run_once(state: &State) {
    let taken = state.uses.take();
    if taken.is_empty() {
        return;
    }
    let uses = taken.values().map(Use::to_use).collect();
    let tokens = taken.values().flat_map(Use::to_counts).collect();
    if let Err(error) = state.store.add_uses(uses, tokens).await {
        report(state, "failed to store the use counts", &error);
        state.uses.give_back(taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storing_uses_takes_a_fiftieth_of_the_time_and_is_never_delayed_for_longer_than_a_minute() {
        for (took_ms, rests_ms) in [(0, 0), (20, 1000), (500, 25_000), (1000, 50_000), (i64::MAX, 50_000)] {
            assert_eq!(rest_ms(took_ms), rests_ms);
        }
    }
}
