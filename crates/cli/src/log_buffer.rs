//! Log lines on their way to stderr: gathered for a moment, so that a token costs no system call of its own.
//!
//! Only the flusher writes to stderr: where nobody reads that, lines are lost and counted, and requests go on.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Lines wait at most this long. A kill loses no more than that; every other end flushes.
const GATHER: Duration = Duration::from_millis(20);
/// The most bytes that wait, twenty times what the fastest node writes in [`GATHER`]: beyond it lines are lost.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// At the end the last lines are given this long: a stderr that nobody reads must not keep the process.
const END_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    lost: u64,
    ending: bool,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the lines go. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct LogBuffer(Arc<Shared>);

/// Writes what waits, until it is dropped, which writes the rest.
pub(crate) struct LogFlusher(Arc<Shared>);

impl LogBuffer {
    /// A buffer, and who empties it.
    pub(crate) fn start() -> (Self, LogFlusher) {
        let buffer = Self::default();
        let shared = buffer.0.clone();
        let flusher = LogFlusher(shared.clone());
        thread::spawn(move || flush_until_ended(&shared));
        (buffer, flusher)
    }
}

impl Write for LogBuffer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.lock();
        if waiting.bytes.len() + line.len() > MAX_BYTES {
            waiting.lost += 1;
            return Ok(line.len());
        }
        if waiting.bytes.is_empty() {
            self.0.changed.notify_all();
        }
        waiting.bytes.extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogFlusher {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.ending = true;
        self.0.changed.notify_all();
        // Whether the last lines were written or not, the process ends now.
        drop(self.0.changed.wait_timeout_while(waiting, END_TIMEOUT, |waiting| !waiting.ended));
    }
}

fn flush_until_ended(shared: &Shared) {
    loop {
        let idle = |waiting: &mut Waiting| waiting.bytes.is_empty() && !waiting.ending;
        let waiting = shared.changed.wait_while(shared.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let ending = waiting.ending;
        drop(waiting);
        if !ending {
            thread::sleep(GATHER);
        }
        let (bytes, lost) = {
            let mut waiting = shared.lock();
            (std::mem::take(&mut waiting.bytes), std::mem::take(&mut waiting.lost))
        };
        // A stderr that is gone is nothing that could be reported anywhere.
        let _ = io::stderr().lock().write_all(&bytes);
        if lost > 0 {
            tracing::warn!(lost, "log lines were lost: nobody read stderr fast enough");
        }
        if ending {
            shared.lock().ended = true;
            shared.changed.notify_all();
            return;
        }
    }
}
