//! What each thread gathers for itself, so that none waits for another and no cache line goes from core to core.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_utils::CachePadded;
use thread_local::ThreadLocal;

/// One `T` for each thread that uses it. Its lock is free except while all of them are read.
#[derive(Debug, Default)]
pub struct PerThread<T: Send>(ThreadLocal<CachePadded<Mutex<T>>>);

impl<T: Default + Send> PerThread<T> {
    /// This thread's own.
    pub fn own(&self) -> MutexGuard<'_, T> {
        lock(self.0.get_or_default())
    }

    /// Those of all threads, one after the other.
    pub fn all(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.0.iter().map(|part| lock(part))
    }
}

fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}
