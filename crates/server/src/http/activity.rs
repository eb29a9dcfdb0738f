//! The activity of a connection, so that an idle one can be closed to make room.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::{io, io::IoSlice};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::limits::{PEER_PAUSE_MS, PEER_STALL_MS};

/// Whether a connection is idle, since when, and whether it was asked to close. A request costs a few atomic
/// operations.
///
/// A connection also waits for its peer before the first request, and while every request on it waits for the rest of its
/// body or for its response to be read. After [`PEER_STALL_MS`], such a connection counts as idle. Before that, and after
/// [`PEER_PAUSE_MS`], it may be closed if no connection is idle. Otherwise, peers could occupy all connections by sending or reading slowly, or a
/// little now and then.
#[derive(Debug)]
pub(super) struct Activity {
    clock: Clock,
    /// Counts the events at which a connection became idle. This gives an order without reading a clock.
    moments: Arc<AtomicU64>,
    /// The number of requests in progress.
    working: AtomicUsize,
    /// How many of them are waiting for the peer.
    waiting: AtomicUsize,
    /// Whether a part of a response has not been passed on to the network.
    is_blocked: AtomicBool,
    /// When waiting for the peer last began, in milliseconds.
    waits_since_ms: AtomicI64,
    idle_since: AtomicU64,
    /// Whether there was a request.
    was_used: AtomicBool,
    is_asked: AtomicBool,
    asked: Notify,
}

impl Activity {
    pub fn new(moments: &Arc<AtomicU64>, clock: &Clock) -> Arc<Self> {
        Arc::new(Self {
            clock: clock.clone(),
            moments: moments.clone(),
            working: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            is_blocked: AtomicBool::new(false),
            waits_since_ms: AtomicI64::new(clock.monotonic_ms()),
            idle_since: AtomicU64::new(moments.fetch_add(1, Ordering::Relaxed)),
            was_used: AtomicBool::new(false),
            is_asked: AtomicBool::new(false),
            asked: Notify::new(),
        })
    }

    /// Marks a request as in progress until the result is dropped.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.working.fetch_add(1, Ordering::Relaxed);
        if !self.was_used.load(Ordering::Relaxed) {
            self.was_used.store(true, Ordering::Relaxed);
        }
        UnderWay(self.clone())
    }

    /// Marks a request in progress as waiting for the peer until the result is dropped.
    pub(super) fn wait_for_peer(self: &Arc<Self>) -> Waiting {
        self.note_wait();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self.clone())
    }

    /// Returns how the connection can be spared, or `None` if a request is being processed, or its peer has only just begun
    /// to keep it waiting.
    pub(super) fn spare(&self) -> Option<Spare> {
        let waiting = self.waiting.load(Ordering::Relaxed);
        if self.working.load(Ordering::Relaxed) != waiting {
            return None;
        }
        let waited_ms = self.clock.monotonic_ms() - self.waits_since_ms.load(Ordering::Relaxed);
        let is_mid_request = waiting > 0 || self.is_blocked.load(Ordering::Relaxed);
        let is_idle = waited_ms >= PEER_STALL_MS || (!is_mid_request && self.was_used.load(Ordering::Relaxed));
        match is_idle {
            true => Some(Spare::Idle),
            false if waited_ms < PEER_PAUSE_MS => None,
            false => Some(Spare::Waiting),
        }
    }

    /// Returns how the connection can be spared, and since when, or `None` if it cannot or was already asked to close.
    pub(super) fn spare_since(&self) -> Option<(Spare, u64)> {
        let spare = self.spare().filter(|_| !self.is_asked.load(Ordering::Relaxed))?;
        Some((spare, self.idle_since.load(Ordering::Relaxed)))
    }

    /// Asks the connection to close.
    pub(super) fn ask(&self) {
        self.is_asked.store(true, Ordering::Relaxed);
        self.asked.notify_one();
    }

    /// Returns when the connection is asked to close while it can be spared. If a request arrives at that moment, the
    /// connection stays open.
    pub(super) async fn told_to_give_way(&self) {
        loop {
            self.asked.notified().await;
            if self.spare().is_some() {
                return;
            }
            self.is_asked.store(false, Ordering::Relaxed);
        }
    }

    fn note_wait(&self) {
        self.waits_since_ms.store(self.clock.monotonic_ms(), Ordering::Relaxed);
        self.note_moment();
    }

    fn note_moment(&self) {
        self.idle_since.store(self.moments.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// In which order connections are closed to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spare {
    /// Nothing is lost.
    Idle,
    /// The peer has to repeat what it has begun.
    Waiting,
}

/// A request in progress, until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.note_moment();
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that waits for the peer, until this is dropped.
#[derive(Debug)]
pub(super) struct Waiting(Arc<Activity>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that notes whether the peer reads what is written.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub fn new(stream: S, activity: &Arc<Activity>) -> Self {
        Self { stream, activity: activity.clone() }
    }

    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Notes that the peer does not read fast enough. This only ends when everything is written: a peer that reads a
    /// byte now and then is still slow.
    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        if written.is_pending() && !self.activity.is_blocked.swap(true, Ordering::Relaxed) {
            self.activity.note_wait();
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// HTTP and TLS flush once all they had is written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.activity.is_blocked.load(Ordering::Relaxed) {
            self.activity.is_blocked.store(false, Ordering::Relaxed);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
