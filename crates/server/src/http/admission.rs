//! Overload: how many requests are worked on at once, and how long one may wait for its turn; the rest is told to come back.
//!
//! A request holds a place while it is worked on, and none while its body is awaited. Then it waits for a turn. A token
//! request is one piece of work that nothing interrupts, so without turns the queue would be where nobody sees it: among
//! the runtime's tasks and in the sockets' buffers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use countersign_protocol::refusal::Refusal;
use http::Method;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;

use crate::clock::Clock;
use crate::config::Http;
use crate::limits::{MAX_ADMIN_IN_FLIGHT, MAX_PEOPLE_IN_FLIGHT, QUEUE_INTERVAL_US};

/// Requests for each thread that may always wait: with no more than these the queue is short, and a long wait only says that
/// other processes have the processor.
const SHORT_QUEUE_PER_WORKER: usize = 8;
/// Turns for each thread that works: one whose work is under way, and one that is ready when that ends.
const TURNS_PER_WORKER: usize = 2;

/// Requests with a bound of their own: those that wait for a lock must not take the places of token requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An administrator changes something.
    Change,
    /// An administrator looks at something.
    Look,
    /// A person's page calls.
    Person,
    /// Token requests, and whatever else waits for nobody.
    Other,
}

impl Kind {
    /// The kind of a request, by its method and path.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        if lies_under(path, "/admin") {
            if method.is_safe() { Self::Look } else { Self::Change }
        } else if lies_under(path, "/api") {
            Self::Person
        } else {
            Self::Other
        }
    }
}

/// True for a path and all below it.
pub(crate) fn lies_under(path: &str, begin: &str) -> bool {
    path.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The places and turns of a node.
#[derive(Debug)]
pub(crate) struct Admission {
    /// In the order of [`Kind`].
    pools: [Pool; 4],
    turns: Arc<Semaphore>,
    /// Half as many as there are places: requests that wait for a database that is stuck leave the others to those that do not.
    writes: Arc<Semaphore>,
    queue: Queue,
    clock: Clock,
}

impl Admission {
    /// Bounds of the configuration, for the runtime that this is called on.
    pub(crate) fn new(http: &Http, clock: Clock) -> Self {
        let pool = |most: usize| Pool { most: most.min(http.max_in_flight), held: AtomicUsize::new(0) };
        let workers = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
        Self {
            pools: [MAX_ADMIN_IN_FLIGHT, MAX_ADMIN_IN_FLIGHT, MAX_PEOPLE_IN_FLIGHT, usize::MAX].map(pool),
            turns: Arc::new(Semaphore::new(workers * TURNS_PER_WORKER)),
            writes: Arc::new(Semaphore::new(http.max_in_flight.div_ceil(2))),
            queue: Queue::new(http.queue_target_ms, workers * SHORT_QUEUE_PER_WORKER),
            clock,
        }
    }

    /// What a write to the database holds to its end, or the refusal if too many are under way.
    pub(crate) fn begin_write(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let free = self.writes.clone().try_acquire_owned();
        free.map_err(|_| Refusal::Overloaded("too many changes wait for the database"))
    }

    /// Takes every place that is free; for stories of a server that has none.
    pub(crate) fn fill(self: &Arc<Self>) -> Vec<Place> {
        let kinds = [Kind::Change, Kind::Look, Kind::Person, Kind::Other];
        kinds.into_iter().flat_map(|kind| std::iter::from_fn(move || Place::enter(self, kind).ok())).collect()
    }

    /// Takes every turn that is free; for stories of a server that is behind.
    pub(crate) fn take_turns(&self) -> Vec<OwnedSemaphorePermit> {
        std::iter::from_fn(|| self.turns.clone().try_acquire_owned().ok()).collect()
    }

    /// How many requests wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.waiting.load(Ordering::Relaxed)
    }

    /// How many requests are worked on or wait for their turn.
    pub(crate) fn in_flight(&self) -> usize {
        self.pools.iter().map(|pool| pool.held.load(Ordering::Relaxed)).sum()
    }
}

/// So many places.
#[derive(Debug)]
struct Pool {
    most: usize,
    held: AtomicUsize,
}

impl Pool {
    fn enter(&self) -> Result<(), Refusal> {
        if self.held.fetch_add(1, Ordering::Relaxed) < self.most {
            return Ok(());
        }
        self.leave();
        Err(Refusal::Overloaded("too many requests at once"))
    }

    fn leave(&self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request's place among those that are worked on, given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    kind: Kind,
    is_held: AtomicBool,
}

impl Place {
    /// A place for a request of this kind, or the refusal if none is free.
    pub(crate) fn enter(admission: &Arc<Admission>, kind: Kind) -> Result<Self, Refusal> {
        admission.pools[kind as usize].enter()?;
        Ok(Self { admission: admission.clone(), kind, is_held: AtomicBool::new(true) })
    }

    /// Gives the place back while something is awaited that the caller sends: a slow sender holds none.
    pub(crate) fn leave(&self) {
        if self.is_held.swap(false, Ordering::Relaxed) {
            self.admission.pools[self.kind as usize].leave();
        }
    }

    /// Takes a place again; refused if none is free now.
    pub(crate) fn enter_again(&self) -> Result<(), Refusal> {
        self.admission.pools[self.kind as usize].enter()?;
        self.is_held.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until it is this request's turn; refused if that took too long.
    ///
    /// Who has the turn yields once: whatever was sent meanwhile is read first and joins the queue, so that how long it waits
    /// is known. Then the turn is passed on before the work, not after it: the next request runs when this thread is free.
    pub(crate) async fn wait_for_turn(&self) -> Result<(), Refusal> {
        let Admission { turns, queue, clock, .. } = &*self.admission;
        let (since_us, _waiting) = (clock.monotonic_us(), queue.enter());
        let turn = if let Ok(free) = turns.try_acquire() {
            queue.note_arrival(true, since_us);
            Some(free)
        } else {
            queue.note_arrival(false, since_us);
            // The semaphore is never closed.
            let turn = turns.acquire().await.ok();
            queue.judge(since_us, clock.monotonic_us())?;
            turn
        };
        yield_now().await;
        drop(turn);
        queue.judge(since_us, clock.monotonic_us())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Controlled delay, after CoDel (RFC 8289): a burst may queue for [`QUEUE_INTERVAL_US`]; a queue that was never empty for as
/// long is a standing one, in which waiting serves nobody, and is cut to the target.
///
/// A queue that is cut is short, and by chance empty now and then, however much is asked. So it counts as a standing one
/// until some share of those who come find nobody waiting: of all that a server with room to spare is asked, many do.
#[derive(Debug)]
struct Queue {
    /// 0 if nobody is refused for waiting.
    target_us: i64,
    /// When the queue was last seen empty.
    empty_at_us: AtomicI64,
    is_standing: AtomicBool,
    /// The share of the last few dozen arrivals that found nobody waiting, out of [`ALL`].
    unqueued: AtomicI64,
    /// Requests that wait now.
    waiting: AtomicUsize,
    /// As many may always wait.
    short: usize,
}

/// A request that waits, until this is dropped.
struct Waiting<'q>(&'q AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The whole, of which shares are taken.
const ALL: i64 = 1 << 20;
/// What one arrival weighs in the share of the last ones.
const ARRIVAL_WEIGHT: i64 = 32;
/// With this share of arrivals that find nobody waiting, a queue is no longer a standing one.
const UNQUEUED_SHARE: i64 = ALL / 6;

impl Queue {
    fn new(target_ms: u32, short: usize) -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            short,
            target_us: i64::from(target_ms) * 1000,
            empty_at_us: AtomicI64::new(0),
            is_standing: AtomicBool::new(false),
            unqueued: AtomicI64::new(ALL),
        }
    }

    /// One more waits.
    fn enter(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(&self.waiting)
    }

    /// Notes whether somebody who came found nobody waiting. Of two at once one may be lost: it is a share.
    fn note_arrival(&self, is_empty: bool, now_us: i64) {
        let share = self.unqueued.load(Ordering::Relaxed);
        let share = share + (if is_empty { ALL } else { 0 } - share) / ARRIVAL_WEIGHT;
        self.unqueued.store(share, Ordering::Relaxed);
        if is_empty && (share >= UNQUEUED_SHARE || !self.is_standing.load(Ordering::Relaxed)) {
            self.is_standing.store(false, Ordering::Relaxed);
            self.empty_at_us.store(now_us, Ordering::Relaxed);
        }
    }

    /// Judges a request that has waited from one moment to another.
    fn judge(&self, since_us: i64, now_us: i64) -> Result<(), Refusal> {
        let waited_us = now_us - since_us;
        let is_short = self.waiting.load(Ordering::Relaxed) <= self.short;
        if self.target_us == 0 || waited_us <= self.target_us || is_short {
            return Ok(());
        }
        let is_burst = now_us - self.empty_at_us.load(Ordering::Relaxed) <= QUEUE_INTERVAL_US;
        if is_burst && waited_us <= QUEUE_INTERVAL_US.max(self.target_us) {
            return Ok(());
        }
        self.is_standing.store(true, Ordering::Relaxed);
        Err(Refusal::Overloaded("the queue of requests is too long"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_may_wait_and_a_standing_queue_is_cut_to_the_target_until_it_is_empty() {
        let queue = Queue::new(5, 1);
        let mut waiting = vec![queue.enter(), queue.enter()];
        let waited = |now_ms: i64, waited_ms: i64| queue.judge((now_ms - waited_ms) * 1000, now_ms * 1000).is_ok();
        queue.note_arrival(true, 1_000_000);
        assert!(waited(1090, 90), "a burst");
        assert!(!waited(1110, 6), "the queue was not empty for 100 ms");
        assert!(waited(1111, 5));
        assert!(!waited(1112, 6), "one that waited for less than the target ends no standing queue");
        (0..200).for_each(|_| queue.note_arrival(false, 1_113_000));
        queue.note_arrival(true, 1_113_000);
        assert!(!waited(1120, 6), "nor does one that found nobody waiting by chance");
        (0..10).for_each(|_| queue.note_arrival(true, 1_121_000));
        assert!(waited(1200, 80), "it is empty often enough");
        assert!(!waited(2000, 500));
        waiting.pop();
        assert!(waited(2000, 500), "a short queue: the machine has other things to do");
    }

    #[test]
    fn with_a_target_of_0_nobody_is_refused_for_waiting() {
        assert!(Queue::new(0, 0).judge(0, i64::MAX).is_ok());
    }

    #[test]
    fn each_kind_of_request_has_places_of_its_own() {
        let http = Http { max_in_flight: 2, ..Http::default() };
        let admission = Arc::new(Admission::new(&http, Clock::system()));
        let enter = |method, path| Place::enter(&admission, Kind::of(&method, path));
        let held = [enter(Method::PUT, "/admin/v1/x"), enter(Method::POST, "/admin")];
        assert!(enter(Method::POST, "/admin/v1/x").is_err());
        assert!(enter(Method::GET, "/admin/v1/x").is_ok() && enter(Method::POST, "/api/x").is_ok());
        assert!(enter(Method::POST, "/oauth2/token").is_ok() && enter(Method::POST, "/administration").is_ok());
        drop(held);
        let place = enter(Method::POST, "/admin/v1/x").expect("free again");
        let _other = enter(Method::POST, "/admin/v1/x").expect("free again");
        place.leave();
        let taken = enter(Method::POST, "/admin/v1/x").expect("it was given back");
        assert!(place.enter_again().is_err());
        drop(taken);
        assert!(place.enter_again().is_ok() && enter(Method::POST, "/admin/v1/x").is_err());
    }
}
