//! Overload: how many requests are worked on at once, and how long one may wait for its turn; the rest is told to come back.
//!
//! A request holds a place while it is worked on, and none while its body is awaited. Then it waits for a turn. A token
//! request is one piece of work that nothing interrupts, so without turns the queue would be where nobody sees it: among
//! the runtime's tasks and in the sockets' buffers.
//!
//! Refusing takes time, too, and whoever is refused may ask again at once. So under overload most requests are refused when
//! they arrive, and some of the time is kept for serving (`admission/queue.rs`).

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
use crate::limits::{MAX_ADMIN_IN_FLIGHT, MAX_PEOPLE_IN_FLIGHT};

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

/// True for a path and all below it.
pub fn lies_under(path: &str, begin: &str) -> bool {
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
    pub fn new(http: &Http, clock: Clock) -> Self {
        let pool = |most: usize| Pool { most: most.min(http.max_in_flight), held: AtomicUsize::new(0) };
        let workers = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
        Self {
            pools: [MAX_ADMIN_IN_FLIGHT, MAX_ADMIN_IN_FLIGHT, MAX_PEOPLE_IN_FLIGHT, usize::MAX].map(pool),
            turns: Arc::new(Semaphore::new(workers * TURNS_PER_WORKER)),
            writes: Arc::new(Semaphore::new(http.max_in_flight.div_ceil(2))),
            queue: Queue::new(http.queue_target_ms, workers),
            clock,
        }
    }

    /// What a write to the database holds to its end, or the refusal if too many are under way.
    pub(crate) fn begin_write(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let free = self.writes.clone().try_acquire_owned();
        free.map_err(|_| Refusal::Overloaded("too many changes are waiting for the database"))
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
        self.queue.waiting()
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
        Err(Refusal::Overloaded("too many concurrent requests"))
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
    /// When its work began, in microseconds; 0 before, and once it has ended or waited for something.
    began_at_us: AtomicI64,
}

impl Place {
    /// A place for a request of this kind, or the refusal if none is free.
    pub(crate) fn enter(admission: &Arc<Admission>, kind: Kind) -> Result<Self, Refusal> {
        admission.pools[kind as usize].enter()?;
        let (is_held, began_at_us) = (AtomicBool::new(true), AtomicI64::new(0));
        Ok(Self { admission: admission.clone(), kind, is_held, began_at_us })
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

    /// True if a request that arrives now would wait too long for its turn. Administrators and people always wait: their places
    /// bound how many do.
    pub(crate) fn is_hopeless(&self) -> bool {
        let Admission { queue, clock, .. } = &*self.admission;
        self.kind == Kind::Other && queue.is_hopeless(clock.monotonic_us())
    }

    /// The refusal of a hopeless request, after its delay.
    pub(crate) async fn turn_away(&self) -> Refusal {
        // Thousands may be delayed. They must not take the places of requests that can be served.
        self.leave();
        let (refusal, _held_back, delay) = self.admission.queue.turn_away();
        sleep(delay).await;
        refusal
    }

    /// Waits until it is this request's turn; refused if that takes too long.
    ///
    /// Who has the turn yields once: whatever was sent meanwhile is read first and joins the queue, so that how long it waits
    /// is known. Then the turn is passed on before the work, not after it: the next request runs when this thread is free.
    ///
    /// Yielding waits for every task that is ready. A thousand requests that are refused and come again keep it from ever
    /// ending in time, so now and then one that arrives is served at once ([`Queue::claim_gap`]).
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

    /// Notes how long the request kept its thread since its turn. Called when it ends or waits for something.
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
