//! Reproducible random numbers. Every trial prints its seed.

use countersign_server::clock::Clock;

/// The variables for the number of rounds and the seed, which `cargo xtask crash` sets.
const ROUNDS: &str = "COUNTERSIGN_CRASH_ROUNDS";
const SEED: &str = "COUNTERSIGN_CRASH_SEED";

/// SplitMix64.
pub(super) struct Dice(u64);

impl Dice {
    /// Creates the dice of a trial from the requested seed, or else from the clock.
    pub(super) fn of(trial: &str) -> Self {
        let seed = variable(SEED).unwrap_or_else(|| Clock::system().now().unsigned_abs());
        println!("{trial}: {SEED}={seed}");
        let name = trial.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ name)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// Returns a number up to `end`. Each end of the range is as likely as everything in between.
    pub(super) fn below_or_edge(&mut self, end: usize) -> usize {
        let between = self.below(end + 1);
        self.pick(&[0, end, between])
    }

    /// Returns a random element.
    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// The requested number of rounds, or a few by default.
pub(super) fn rounds(few: usize) -> usize {
    variable(ROUNDS).map_or(few, |rounds| usize::try_from(rounds).unwrap())
}

#[expect(clippy::disallowed_methods, reason = "how `cargo xtask crash` sets the rounds")]
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}
