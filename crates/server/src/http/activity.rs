//! The activity of a connection, so that an idle one can be closed to make room.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::{io, io::IoSlice};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// Whether a connection is idle, since when, and whether it was asked to close. A request costs three atomic
/// operations.
#[derive(Debug)]
pub(super) struct Activity {
    /// Counts the events at which a connection became idle. This gives an order without reading a clock.
    moments: Arc<AtomicU64>,
    working: AtomicUsize,
    idle_since: AtomicU64,
    /// Whether a part of a response waits for the peer to read it.
    is_blocked: AtomicBool,
    is_asked: AtomicBool,
    asked: Notify,
}

impl Activity {
    pub fn new(moments: &Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self {
            moments: moments.clone(),
            working: AtomicUsize::new(0),
            idle_since: AtomicU64::new(moments.fetch_add(1, Ordering::Relaxed)),
            is_blocked: AtomicBool::new(false),
            is_asked: AtomicBool::new(false),
            asked: Notify::new(),
        })
    }

    /// Marks a request as in progress until the result is dropped.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.working.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// True if no request is in progress, and no response is partially written.
    pub(super) fn is_idle(&self) -> bool {
        self.working.load(Ordering::Relaxed) == 0 && !self.is_blocked.load(Ordering::Relaxed)
    }

    /// Returns since when the connection is idle, or `None` if it is not, or was already asked to close.
    pub(super) fn idle_since(&self) -> Option<u64> {
        let is_free = self.is_idle() && !self.is_asked.load(Ordering::Relaxed);
        is_free.then(|| self.idle_since.load(Ordering::Relaxed))
    }

    /// Asks the connection to close.
    pub(super) fn ask(&self) {
        self.is_asked.store(true, Ordering::Relaxed);
        self.asked.notify_one();
    }

    /// Returns when the connection is asked to close while it is idle. If a request arrives at that moment, the
    /// connection stays open.
    pub(super) async fn told_to_give_way(&self) {
        loop {
            self.asked.notified().await;
            if self.is_idle() {
                return;
            }
            self.is_asked.store(false, Ordering::Relaxed);
        }
    }
}

/// A request in progress, until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Activity { moments, working, idle_since, .. } = &*self.0;
        idle_since.store(moments.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        working.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream whose unwritten bytes count as activity, so that a response to a slow reader is not aborted.
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

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        if written.is_pending() != self.activity.is_blocked.load(Ordering::Relaxed) {
            self.activity.is_blocked.store(written.is_pending(), Ordering::Relaxed);
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

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
