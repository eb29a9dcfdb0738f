//! Buffers log lines on their way to stderr, so that a token needs no system call for its log line.
//!
//! Each thread has its own buffer, and only the flusher writes to stderr. If stderr is not read, lines are dropped and counted,
//! but requests continue.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use countersign_server::per_thread::PerThread;

/// How long lines are buffered. A SIGKILL loses at most that much. Any other exit flushes.
const GATHER: Duration = Duration::from_millis(20);
/// The maximum buffer per thread: twenty times what the fastest thread writes in [`GATHER`]. Further lines are dropped.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// The timestamp is in the first bytes of a line. In JSON, it follows `{"timestamp":"`.
const TIME_BYTES: usize = 41;
/// How long an exit waits for the last lines, because stderr may not be read.
const END_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Shared {
    lines: PerThread<Lines>,
    /// True while the flusher polls for lines, so that writers need not wake it.
    is_awake: AtomicBool,
    flusher: Mutex<Flusher>,
    changed: Condvar,
}

/// The request to the flusher, and whether it has ended.
#[derive(Default)]
struct Flusher {
    is_woken: bool,
    is_ending: bool,
    has_ended: bool,
}

/// The lines of one thread.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    /// The end of each line.
    ends: Vec<usize>,
    lost: u64,
}

impl Lines {
    fn add(&mut self, line: &[u8]) {
        if self.bytes.len() + line.len() > MAX_BYTES {
            self.lost += 1;
            return;
        }
        self.bytes.extend_from_slice(line);
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[begin..*end])
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Flusher> {
        self.flusher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, ask: impl FnOnce(&mut Flusher)) {
        ask(&mut self.lock());
        self.changed.notify_all();
    }

    /// Takes all lines in chronological order, and the number of dropped ones.
    fn take(&self) -> (Vec<u8>, u64) {
        let taken: Vec<Lines> = self.lines.all().map(|mut lines| std::mem::take(&mut *lines)).collect();
        let lost = taken.iter().map(|lines| lines.lost).sum();
        let mut parts = taken.into_iter().filter(|lines| !lines.bytes.is_empty());
        let bytes = match (parts.next(), parts.next()) {
            (None, _) => Vec::new(),
            (Some(only), None) => only.bytes,
            (Some(one), Some(other)) => in_order(&[one, other].into_iter().chain(parts).collect::<Vec<_>>()),
        };
        (bytes, lost)
    }
}

/// Merges the lines of several threads. They start alike up to the timestamp, so their bytes sort chronologically.
fn in_order(parts: &[Lines]) -> Vec<u8> {
    let mut all: Vec<&[u8]> = parts.iter().flat_map(Lines::iter).collect();
    all.sort_by_key(|line| &line[..line.len().min(TIME_BYTES)]);
    all.concat()
}

/// The writer of the log. Clones share the buffer.
#[derive(Clone, Default)]
pub(crate) struct LogBuffer(Arc<Shared>);

/// Writes buffered lines, and the rest when it is dropped.
pub(crate) struct LogFlusher(Arc<Shared>);

impl LogBuffer {
    /// Starts a buffer and its flusher.
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
        self.0.lines.own().add(line);
        // Either the flusher saw these lines after it marked itself as asleep, or this sees that mark.
        if !self.0.is_awake.load(Ordering::SeqCst) {
            self.0.wake(|flusher| flusher.is_woken = true);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogFlusher {
    fn drop(&mut self) {
        self.0.wake(|flusher| flusher.is_ending = true);
        // The process exits now, whether or not the last lines were written.
        drop(self.0.changed.wait_timeout_while(self.0.lock(), END_TIMEOUT, |flusher| !flusher.has_ended));
    }
}

fn flush_until_ended(shared: &Shared) {
    loop {
        let idle = |flusher: &mut Flusher| !flusher.is_woken && !flusher.is_ending;
        let mut flusher = shared.changed.wait_while(shared.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        flusher.is_woken = false;
        drop(flusher);
        shared.is_awake.store(true, Ordering::SeqCst);
        while write_lines(shared) {}
        shared.is_awake.store(false, Ordering::SeqCst);
        // A thread that saw it awake did not wake it.
        if write_taken(shared.take()) {
            shared.lock().is_woken = true;
        } else if shared.lock().is_ending {
            shared.wake(|flusher| flusher.has_ended = true);
            return;
        }
    }
}

/// Waits for a moment and writes. Returns false if there were no lines.
fn write_lines(shared: &Shared) -> bool {
    if !shared.lock().is_ending {
        thread::sleep(GATHER);
    }
    write_taken(shared.take())
}

/// Writes lines. Returns false if there are none.
fn write_taken((bytes, lost): (Vec<u8>, u64)) -> bool {
    // A failure to write to stderr cannot be reported anywhere.
    let _ = io::stderr().lock().write_all(&bytes);
    if lost > 0 {
        tracing::warn!(lost, "log lines were dropped, because stderr was not read fast enough");
    }
    !bytes.is_empty() || lost > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_threads_are_written_in_chronological_order() {
        let lines = |times: &[u32]| {
            let mut lines = Lines::default();
            times.iter().for_each(|time| lines.add(format!("{{\"timestamp\":\"{time:03}\"}}\n").as_bytes()));
            lines
        };
        let all = in_order(&[lines(&[1, 4, 5]), lines(&[]), lines(&[2, 3, 9])]);
        let times: Vec<&str> = std::str::from_utf8(&all).expect("text").lines().map(|line| &line[14..17]).collect();
        assert_eq!(times, ["001", "002", "003", "004", "005", "009"]);
    }

    #[test]
    fn lines_that_do_not_fit_are_counted() {
        let shared = Shared::default();
        shared.lines.own().add(&vec![b'x'; MAX_BYTES]);
        shared.lines.own().add(b"y");
        let (bytes, lost) = shared.take();
        assert_eq!((bytes.len(), lost, shared.take().1), (MAX_BYTES, 1, 0));
    }
}
