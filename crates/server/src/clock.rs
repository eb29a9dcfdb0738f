//! The sources of time and randomness: the system's, or a test's.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use countersign_protocol::UnixTime;
use zeroize::{Zeroize, Zeroizing};

/// A source of time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's clocks. [`Clock::monotonic_ms`] starts at this instant.
    System(Instant),
    /// A test's clock, in seconds since 1970. It only moves when it is set.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// Returns the system's clocks.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn system() -> Self {
        Self::System(Instant::now())
    }

    /// Returns the seconds since 1970.
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

    /// Returns milliseconds since an arbitrary time. Never goes back, even if the wall clock does.
    pub fn monotonic_ms(&self) -> i64 {
        self.monotonic_us() / 1000
    }

    /// Returns microseconds since the same time.
    pub fn monotonic_us(&self) -> i64 {
        match self {
            Self::System(started) => i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX),
            Self::Fixed(now) => now.load(Ordering::Relaxed) * 1_000_000,
        }
    }
}

/// A reserve of random bytes. A token needs a few dozen, and a system call costs the same for a thousand.
struct Block {
    bytes: Zeroizing<[u8; BLOCK_BYTES]>,
    used: usize,
}

/// The number of bytes that a thread gets at once.
const BLOCK_BYTES: usize = 1024;

thread_local! {
    static BLOCK: RefCell<Block> =
        RefCell::new(Block { bytes: Zeroizing::new([0; BLOCK_BYTES]), used: BLOCK_BYTES });
}

impl Block {
    /// Moves bytes out of the reserve and wipes them there, so that none is used twice.
    fn take(&mut self, wanted: &mut [u8]) {
        if wanted.len() > BLOCK_BYTES - self.used {
            rand::fill(self.bytes.as_mut_slice()).expect("the operating system gives random bytes");
            self.used = 0;
        }
        let given = &mut self.bytes[self.used..self.used + wanted.len()];
        wanted.copy_from_slice(given);
        given.zeroize();
        self.used += wanted.len();
    }
}

/// A source of random bytes.
#[derive(Clone, Debug)]
pub enum Entropy {
    /// The operating system's.
    System,
    /// A test's: the same seed gives the same sequence.
    Seeded(Arc<AtomicU64>),
}

impl Entropy {
    /// Returns `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        const { assert!(N <= BLOCK_BYTES, "more than a block holds") };
        let mut bytes = [0; N];
        match self {
            Self::System => BLOCK.with_borrow_mut(|block| block.take(&mut bytes)),
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn random_bytes_are_never_repeated() {
        let mut given = HashSet::new();
        for _ in 0..1000 {
            assert!(given.insert(Entropy::System.bytes::<12>().to_vec()));
            assert!(given.insert(Entropy::System.bytes::<32>().to_vec()));
        }
    }
}
