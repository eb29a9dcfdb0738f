//! Overload protection: limits how many requests are processed at once, and how long a request may wait for its turn.
//! The others are asked to try again later.
//!
//! A request has a place while it is processed, but not while the server waits for its body. Then it waits for a turn.
//! A token request is processed without interruption. Without turns, the queue would be invisible: in the runtime's
//! tasks and the sockets' buffers.
//!
//! Refusing takes time, too, and refused clients may try again immediately. Under overload, most requests are therefore
//! refused as soon as they arrive, and some of the time is reserved for serving (`admission_queue.rs`).

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use countersign_protocol::refusal::Refusal;
use http::Method;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::config::Http;
use crate::http::admission_queue::Queue;
use crate::http::shares::Shares;
use crate::http::source::Source;
use crate::limits::{MAX_ADMIN_IN_FLIGHT, MAX_PEOPLE_IN_FLIGHT};

/// Turns per worker thread: one for a request in progress, and one that is ready to follow.
const TURNS_PER_WORKER: usize = 2;

/// Kinds of requests with their own limits. Requests that wait for a lock must not take the places of token requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A change by an administrator.
    Change,
    /// A read by an administrator.
    Look,
    /// A call from a page.
    Person,
    /// Token requests, and all others that wait for nothing.
    Other,
}

impl Kind {
    /// Returns the kind of a request, based on its method and path.
    pub fn of(method: &Method, path: &str) -> Self {
        if lies_under(path, "/admin") {
            if method.is_safe() { Self::Look } else { Self::Change }
        } else if lies_under(path, "/api") {
            Self::Person
        } else {
            Self::Other
        }
    }
}

/// True for a path and everything below it.
pub fn lies_under(path: &str, begin: &str) -> bool {
    path.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The places and turns of a node.
#[derive(Debug)]
pub(crate) struct Admission {
    /// In the order of [`Kind`].
    pools: [Pool; 4],
    turns: Arc<Semaphore>,
    /// Half of the places. Requests that wait for an unresponsive database leave the others to requests that do not
    /// need it.
    writes: Arc<Semaphore>,
    queue: Queue,
    clock: Clock,
}

impl Admission {
    /// Creates the limits from the configuration, for the current runtime.
    pub fn new(http: &Http, clock: Clock) -> Self {
        let shared = |most: usize| Pool::Shared(Shares::new(most.min(http.max_in_flight)));
        let workers = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
        Self {
            pools: [
                shared(MAX_ADMIN_IN_FLIGHT),
                shared(MAX_ADMIN_IN_FLIGHT),
                shared(MAX_PEOPLE_IN_FLIGHT),
                Pool::Open { most: http.max_in_flight, held: AtomicUsize::new(0) },
            ],
            turns: Arc::new(Semaphore::new(workers * TURNS_PER_WORKER)),
            writes: Arc::new(Semaphore::new(http.max_in_flight.div_ceil(2))),
            queue: Queue::new(http.queue_target_ms, workers),
            clock,
        }
    }

    /// Takes a place for a write to the database, or refuses if too many are in progress.
    pub(crate) fn begin_write(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let free = self.writes.clone().try_acquire_owned();
        free.map_err(|_| Refusal::Overloaded("too many changes are waiting for the database"))
    }

    /// Takes all free places. For stories of a server without free places.
    pub(crate) fn fill(self: &Arc<Self>) -> Vec<Place> {
        let kinds = [Kind::Change, Kind::Look, Kind::Person, Kind::Other];
        // Each time from another site, because no site gets all places.
        let sources = || (0..u32::MAX).map(|number| Source::of(IpAddr::from((number << 8).to_be_bytes())));
        let fill = |kind| sources().map_while(move |source| Place::enter(self, kind, source).ok());
        kinds.into_iter().flat_map(fill).collect()
    }

    /// Takes all free turns. For stories of an overloaded server.
    pub(crate) fn take_turns(&self) -> Vec<OwnedSemaphorePermit> {
        std::iter::from_fn(|| self.turns.clone().try_acquire_owned().ok()).collect()
    }

    /// Returns how many requests are waiting for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Returns how many requests are being processed or are waiting for their turn.
    pub(crate) fn in_flight(&self) -> usize {
        self.pools.iter().map(Pool::count).sum()
    }
}

/// The places of one kind.
#[derive(Debug)]
enum Pool {
    /// For requests that wait for nothing. A caller may take all places.
    Open { most: usize, held: AtomicUsize },
    /// For requests that wait, so that a caller could keep the others out.
    Shared(Shares),
}

impl Pool {
    fn enter(&self, source: Source) -> Result<(), Refusal> {
        let is_entered = match self {
            Self::Open { most, held } => {
                let is_free = held.fetch_add(1, Ordering::Relaxed) < *most;
                if !is_free {
                    held.fetch_sub(1, Ordering::Relaxed);
                }
                is_free
            }
            Self::Shared(shares) => shares.enter(source),
        };
        is_entered.then_some(()).ok_or(Refusal::Overloaded("too many concurrent requests"))
    }

    fn leave(&self, source: Source) {
        match self {
            Self::Open { held, .. } => {
                held.fetch_sub(1, Ordering::Relaxed);
            }
            Self::Shared(shares) => shares.leave(source),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Open { held, .. } => held.load(Ordering::Relaxed),
            Self::Shared(shares) => shares.count(),
        }
    }
}

/// A place of a request that is being processed. Released on drop.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    kind: Kind,
    source: Source,
    is_held: AtomicBool,
    /// When processing began, in microseconds. It is 0 before that, and once the request has ended or waited for
    /// something.
    began_at_us: AtomicI64,
}

impl Place {
    /// Returns a place for a request of this kind from this source, or a refusal if none is free for it.
    pub(crate) fn enter(admission: &Arc<Admission>, kind: Kind, source: Source) -> Result<Self, Refusal> {
        admission.pools[kind as usize].enter(source)?;
        let (is_held, began_at_us) = (AtomicBool::new(true), AtomicI64::new(0));
        Ok(Self { admission: admission.clone(), kind, source, is_held, began_at_us })
    }

    /// Releases the place while waiting for the caller's data, so that a slow sender has none.
    pub(crate) fn leave(&self) {
        if self.is_held.swap(false, Ordering::Relaxed) {
            self.admission.pools[self.kind as usize].leave(self.source);
        }
    }

    /// Takes a place again. Refuses if none is free now.
    pub(crate) fn enter_again(&self) -> Result<(), Refusal> {
        self.admission.pools[self.kind as usize].enter(self.source)?;
        self.is_held.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// True if a request that arrives now would wait too long for its turn. Requests of administrators and pages always
    /// wait, because their places limit how many there are.
    pub(crate) fn is_hopeless(&self) -> bool {
        let Admission { queue, clock, .. } = &*self.admission;
        self.kind == Kind::Other && queue.is_hopeless(clock.monotonic_us())
    }

    /// Refuses a hopeless request, after its delay.
    pub(crate) async fn turn_away(&self) -> Refusal {
        // There may be thousands of delayed refusals. They must not take the places of requests that can be served.
        self.leave();
        let (refusal, _held_back, delay) = self.admission.queue.turn_away();
        sleep(delay).await;
        refusal
    }

    /// Waits for the request's turn. Refuses if that takes too long.
    ///
    /// A request that has the turn yields once, so that requests that have arrived in the meantime are read first and
    /// join the queue. Their waiting time is then known. The turn is passed on before the work, not after it: the next
    /// request runs when this thread is free.
    ///
    /// Yielding waits for every task that is ready. A thousand clients that retry immediately would prevent it from
    /// ever ending in time, so that now and then, a request is served as soon as it arrives ([`Queue::claim_gap`]).
    pub(crate) async fn wait_for_turn(&self) -> Result<(), Refusal> {
        let Admission { turns, queue, clock, .. } = &*self.admission;
        if self.is_hopeless() {
            return Err(self.turn_away().await);
        }
        let (since_us, _waiting) = (clock.monotonic_us(), queue.enter());
        let turn = if let Ok(free) = turns.try_acquire() {
            queue.note_arrival(true, since_us);
            Some(free)
        } else {
            queue.note_arrival(false, since_us);
            if queue.claim_gap(since_us) {
                self.began_at_us.store(since_us, Ordering::Relaxed);
                return Ok(());
            }
            // The semaphore is never closed.
            let turn = turns.acquire().await.ok();
            queue.judge(since_us, clock.monotonic_us())?;
            turn
        };
        yield_now().await;
        drop(turn);
        let now_us = clock.monotonic_us();
        queue.judge(since_us, now_us)?;
        queue.begin_work(now_us);
        self.began_at_us.store(now_us, Ordering::Relaxed);
        Ok(())
    }

    /// Records how long the request kept its thread since its turn. Called when it ends or waits for something.
    pub(crate) fn note_work(&self) {
        let began_at_us = self.began_at_us.load(Ordering::Relaxed);
        if began_at_us != 0 {
            self.began_at_us.store(0, Ordering::Relaxed);
            self.admission.queue.end_work(self.admission.clock.monotonic_us() - began_at_us);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_request_has_its_own_places() {
        let http = Http { max_in_flight: 2, ..Http::default() };
        let admission = Arc::new(Admission::new(&http, Clock::system()));
        let (here, elsewhere) = (Source::of([192, 0, 2, 1].into()), Source::of([198, 51, 100, 1].into()));
        let enter_from = |source, method, path| Place::enter(&admission, Kind::of(&method, path), source);
        let enter = |method, path| enter_from(here, method, path);
        let other = enter_from(elsewhere, Method::PUT, "/admin/v1/x").expect("a free place");
        let held = enter(Method::POST, "/admin").expect("a free place");
        assert!(enter(Method::POST, "/admin/v1/x").is_err());
        assert!(enter(Method::GET, "/admin/v1/x").is_ok() && enter(Method::POST, "/api/x").is_ok());
        assert!(enter(Method::POST, "/oauth2/token").is_ok() && enter(Method::POST, "/administration").is_ok());
        drop(held);
        let place = enter(Method::POST, "/admin/v1/x").expect("free again");
        place.leave();
        let taken = enter(Method::POST, "/admin/v1/x").expect("it was returned");
        assert!(place.enter_again().is_err());
        drop(taken);
        assert!(place.enter_again().is_ok() && enter(Method::POST, "/admin/v1/x").is_err());
        drop(other);
        assert!(enter(Method::POST, "/admin/v1/x").is_err(), "one source does not get all places");
        assert!(enter_from(elsewhere, Method::POST, "/admin/v1/x").is_ok());
    }
}
