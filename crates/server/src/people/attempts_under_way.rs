//! The attempts that are being checked on this node. A place is taken before the counters are read, so that concurrent
//! attempts cannot exceed a limit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::http::source::Source;

/// A counter of attempts in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// Attempts for a name.
    Name([u8; 32]),
    /// Attempts for a name from devices that do not count as known.
    Unknown([u8; 32]),
    /// Attempts of a device.
    Device([u8; 32]),
    /// One-time codes for a name.
    Code([u8; 32]),
    /// One-time codes for a name from one network.
    CodeFrom([u8; 32], Source),
}

/// The number of attempts in progress when a place was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ahead {
    /// For the name.
    pub(super) of_name: i64,
    /// For the name, from devices that do not count as known.
    pub(super) of_unknown: i64,
    /// For the device.
    pub(super) of_device: i64,
}

/// All attempts in progress. There are few, because passwords are hashed two at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct UnderWay(Arc<Mutex<HashMap<Key, i64>>>);

/// A place among the attempts in progress. Released on drop.
#[derive(Debug)]
pub(super) struct Place {
    all: UnderWay,
    keys: Vec<Key>,
}

impl UnderWay {
    /// Takes a place under each key, and returns how many were already taken under each.
    pub(super) fn enter<const N: usize>(&self, keys: [Key; N]) -> (Place, [i64; N]) {
        let mut counts = self.lock();
        let ahead = keys.map(|key| {
            let count = counts.entry(key).or_default();
            *count += 1;
            *count - 1
        });
        (Place { all: self.clone(), keys: keys.into() }, ahead)
    }

    fn leave(&self, key: Key) {
        let mut counts = self.lock();
        if let Some(count) = counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Releases the place under one key.
    pub(super) fn leave(&mut self, key: Key) {
        self.keys.retain(|own| *own != key);
        self.all.leave(key);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for key in &self.keys {
            self.all.leave(*key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_released() {
        let all = UnderWay::default();
        let [name, unknown] = [Key::Name([1; 32]), Key::Unknown([1; 32])];
        let (mut first, ahead) = all.enter([name, unknown]);
        assert_eq!(ahead, [0, 0]);
        first.leave(unknown);
        let (second, ahead) = all.enter([name, unknown]);
        assert_eq!(ahead, [1, 0]);
        drop((first, second));
        assert!(all.lock().is_empty());
    }
}
