//! Where time and randomness come from: the system's, or a test's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use countersign_protocol::UnixTime;

/// Tells the time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's clocks; the instant is where [`Clock::monotonic_ms`] begins.
    System(Instant),
    /// A test's: it stands still until it is set, in seconds since 1970.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clocks.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn system() -> Self {
        Self::System(Instant::now())
    }

    /// Seconds since 1970.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn now(&self) -> UnixTime {
        match self {
            Self::System(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
            }
            Self::Fixed(now) => now.load(Ordering::Relaxed),
        }
    }

    /// Milliseconds since some moment; never goes back, whatever happens to the wall clock.
    pub fn monotonic_ms(&self) -> i64 {
        match self {
            Self::System(started) => i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX),
            Self::Fixed(now) => now.load(Ordering::Relaxed) * 1000,
        }
    }
}

/// Gives random bytes.
#[derive(Clone, Debug)]
pub enum Entropy {
    /// The operating system's.
    System,
    /// A test's: the same sequence from the same seed.
    Seeded(Arc<AtomicU64>),
}

impl Entropy {
    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match self {
            Self::System => rand::fill(&mut bytes).expect("the operating system gives random bytes"),
            Self::Seeded(counter) => {
                for chunk in bytes.chunks_mut(32) {
                    let block = digest(&SHA256, &counter.fetch_add(1, Ordering::Relaxed).to_be_bytes());
                    chunk.copy_from_slice(&block.as_ref()[..chunk.len()]);
                }
            }
        }
        bytes
    }
}
