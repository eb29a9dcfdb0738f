//! Log lines on their way to stderr: gathered for a moment, so that a token costs no system call of its own.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Lines wait at most this long. A kill loses no more than that; every other end flushes.
const GATHER: Duration = Duration::from_millis(20);
/// Beyond this many bytes the writer of a line writes them all itself: memory stays bounded when stderr is slow.
const MAX_BYTES: usize = 64 * 1024;

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
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
pub(crate) struct LogFlusher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl LogBuffer {
    /// A buffer, and who empties it.
    pub(crate) fn start() -> (Self, LogFlusher) {
        let buffer = Self::default();
        let shared = buffer.0.clone();
        let thread = thread::spawn({
            let shared = shared.clone();
            move || flush_until_ended(&shared)
        });
        (buffer, LogFlusher { shared, thread: Some(thread) })
    }
}

impl Write for LogBuffer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.lock();
        if waiting.bytes.is_empty() {
            self.0.changed.notify_one();
        }
        waiting.bytes.extend_from_slice(line);
        if waiting.bytes.len() > MAX_BYTES {
            write_out(&mut waiting.bytes);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogFlusher {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A flusher that panicked has nothing more to write.
            let _ = thread.join();
        }
    }
}

fn flush_until_ended(shared: &Shared) {
    loop {
        let idle = |waiting: &mut Waiting| waiting.bytes.is_empty() && !waiting.ended;
        let waiting = shared.changed.wait_while(shared.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let ended = waiting.ended;
        drop(waiting);
        if !ended {
            thread::sleep(GATHER);
        }
        let mut bytes = std::mem::take(&mut shared.lock().bytes);
        write_out(&mut bytes);
        if ended {
            return;
        }
    }
}

/// A stderr that is gone is nothing that could be reported anywhere.
fn write_out(bytes: &mut Vec<u8>) {
    let _ = io::stderr().lock().write_all(bytes);
    bytes.clear();
}
