//! The queue of requests that wait for their turn: how long a request may wait, which requests are refused without
//! waiting, and which are served in any case.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use countersign_protocol::refusal::Refusal;

use crate::limits::QUEUE_INTERVAL_US;

/// The number of requests per thread that may always wait. The queue is then short, and a long wait only means that
/// other processes use the CPU.
const SHORT_QUEUE_PER_WORKER: usize = 8;
/// The whole, of which shares are taken.
const ALL: i64 = 1 << 20;
/// The weight of one arrival in the share of recent arrivals.
const ARRIVAL_WEIGHT: i64 = 32;
/// If this share of arrivals finds an empty queue, it is no longer a standing queue.
const UNQUEUED_SHARE: i64 = ALL / 6;
/// The weight of one request's work in the average of recent requests.
const WORK_WEIGHT: i64 = 32;
/// The initial average in microseconds: an RSA signature.
const FIRST_WORK_US: i64 = 1000;
/// The longest time during which no work begins while there is a standing queue, as a multiple of the work of one
/// request. A request that arrives after that is served immediately, so that a quarter of the time is spent on serving,
/// however many are refused. As long as refusals leave more time than that, work begins more often, and no request is
/// served out of order.
const MAX_GAP: i64 = 4;
/// A request is hopeless if the work of those before it takes more than this many quarters of the target. The fourth
/// quarter is for what that work does not include: reading, writing, and refusing others.
const TARGET_QUARTERS: i64 = 3;
/// Refusals of hopeless requests are delayed so that a thread writes one per this many microseconds. This is twice what
/// one takes, so that half of the time remains.
const REFUSAL_PACE_US: i64 = 100;

/// Controlled delay, based on CoDel (RFC 8289). A burst may queue for [`QUEUE_INTERVAL_US`]. A queue that was never
/// empty for that long is a standing queue, in which waiting helps nobody, and is cut to the target.
///
/// A queue that is cut is short, and is sometimes empty by chance, however high the load is. It therefore counts as a
/// standing queue until a certain share of arrivals finds it empty. On a server with spare capacity, many arrivals do.
///
/// Refusing a request that has waited costs almost a tenth of an RSA signature. A request that arrives at a standing
/// queue and would wait too long is therefore hopeless: it is refused before its body is parsed or anything else is
/// done. This only depends on the requests that are waiting now. New arrivals do not change what happens to these, so
/// the queue ends as it otherwise would.
///
/// A refusal is delayed for as long as others may wait, and longer if there are many. Otherwise, cheap refusals would
/// only make clients retry more often.
#[derive(Debug)]
pub(super) struct Queue {
    /// 0 if no request is refused for waiting.
    target_us: i64,
    /// The number of worker threads.
    workers: i64,
    /// The number of requests that may always wait.
    short: usize,
    /// The number of requests that are waiting.
    waiting: AtomicUsize,
    /// The number of hopeless requests whose refusal is delayed.
    refused: AtomicUsize,
    /// When the queue was last empty.
    empty_at_us: AtomicI64,
    is_standing: AtomicBool,
    /// The share of the last few dozen arrivals that found an empty queue, out of [`ALL`].
    unqueued: AtomicI64,
    /// The average time for which a request keeps a thread, times [`WORK_WEIGHT`].
    work_us: AtomicI64,
    /// When the work of a request last began.
    began_at_us: AtomicI64,
}

/// A request that is counted until this is dropped.
pub(super) struct Counted<'q>(&'q AtomicUsize);

impl<'q> Counted<'q> {
    fn new(count: &'q AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queue {
    pub fn new(target_ms: u32, workers: usize) -> Self {
        Self {
            target_us: i64::from(target_ms) * 1000,
            workers: i64::try_from(workers).unwrap_or(i64::MAX),
            short: workers * SHORT_QUEUE_PER_WORKER,
            waiting: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            empty_at_us: AtomicI64::new(0),
            is_standing: AtomicBool::new(false),
            unqueued: AtomicI64::new(ALL),
            work_us: AtomicI64::new(FIRST_WORK_US * WORK_WEIGHT),
            began_at_us: AtomicI64::new(0),
        }
    }

    /// Returns how many requests are waiting.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Adds a waiting request.
    pub(super) fn enter(&self) -> Counted<'_> {
        Counted::new(&self.waiting)
    }

    /// True if a request that arrives now would wait too long.
    pub(super) fn is_hopeless(&self, now_us: i64) -> bool {
        let waiting = self.waiting();
        if !self.is_standing.load(Ordering::Relaxed) || waiting <= self.short || self.is_gap(now_us) {
            return false;
        }
        let work_us = i64::try_from(waiting).unwrap_or(i64::MAX).saturating_mul(self.work_us()) / self.workers;
        work_us > self.target_us / 4 * TARGET_QUARTERS
    }

    /// Returns the refusal of a hopeless request and its delay. The request counts as one that found a non-empty queue,
    /// and is counted during its delay.
    pub(super) fn turn_away(&self) -> (Refusal, Counted<'_>, Duration) {
        self.count_arrival(false);
        let refusal = Counted::new(&self.refused);
        let refused = i64::try_from(self.refused.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        let least_us = self.target_us.min(QUEUE_INTERVAL_US);
        let delay_us = (refused.saturating_mul(REFUSAL_PACE_US) / self.workers).clamp(least_us, QUEUE_INTERVAL_US);
        (too_long(), refusal, Duration::from_micros(delay_us.unsigned_abs()))
    }

    /// Records whether an arrival found an empty queue.
    pub(super) fn note_arrival(&self, is_empty: bool, now_us: i64) {
        let share = self.count_arrival(is_empty);
        if is_empty && (share >= UNQUEUED_SHARE || !self.is_standing.load(Ordering::Relaxed)) {
            self.is_standing.store(false, Ordering::Relaxed);
            self.empty_at_us.store(now_us, Ordering::Relaxed);
        }
    }

    /// True if no work began for [`MAX_GAP`] in a standing queue. Then it counts as begun now, so that only one of
    /// several callers gets true.
    pub(super) fn claim_gap(&self, now_us: i64) -> bool {
        let began_at_us = self.began_at_us.load(Ordering::Relaxed);
        self.is_standing.load(Ordering::Relaxed)
            && self.is_gap(now_us)
            && self.began_at_us.compare_exchange(began_at_us, now_us, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Decides about a request that has waited between two times.
    pub(super) fn judge(&self, since_us: i64, now_us: i64) -> Result<(), Refusal> {
        let waited_us = now_us - since_us;
        let is_short = self.waiting() <= self.short;
        if self.target_us == 0 || waited_us <= self.target_us || is_short {
            return Ok(());
        }
        let is_burst = now_us - self.empty_at_us.load(Ordering::Relaxed) <= QUEUE_INTERVAL_US;
        if is_burst && waited_us <= QUEUE_INTERVAL_US.max(self.target_us) {
            return Ok(());
        }
        self.is_standing.store(true, Ordering::Relaxed);
        Err(too_long())
    }

    /// Records that the work of a request begins.
    pub(super) fn begin_work(&self, now_us: i64) {
        self.began_at_us.store(now_us, Ordering::Relaxed);
    }

    /// Records how long a request kept its thread. The time is limited, because the process may have been stopped in
    /// the meantime.
    pub(super) fn end_work(&self, took_us: i64) {
        let sum = self.work_us.load(Ordering::Relaxed);
        self.work_us.store(sum - sum / WORK_WEIGHT + took_us.min(QUEUE_INTERVAL_US), Ordering::Relaxed);
    }

    /// Updates the share of arrivals that found an empty queue. Of two concurrent updates, one may be lost, which does
    /// not matter for a share.
    fn count_arrival(&self, is_empty: bool) -> i64 {
        let share = self.unqueued.load(Ordering::Relaxed);
        let share = share + (if is_empty { ALL } else { 0 } - share) / ARRIVAL_WEIGHT;
        self.unqueued.store(share, Ordering::Relaxed);
        share
    }

    fn work_us(&self) -> i64 {
        self.work_us.load(Ordering::Relaxed) / WORK_WEIGHT
    }

    fn is_gap(&self, now_us: i64) -> bool {
        now_us - self.began_at_us.load(Ordering::Relaxed) > MAX_GAP * self.work_us() / self.workers
    }
}

fn too_long() -> Refusal {
    Refusal::Overloaded("the queue of requests is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The duration of a signature and of a refusal here, in microseconds.
    const WORK_US: i64 = 900;
    const REFUSAL_US: i64 = 60;

    /// Returns a standing queue of one thread with this many waiting requests, and the time when work last began.
    fn standing(waiting: usize) -> (Queue, i64) {
        let (queue, now_us) = (Queue::new(10, 1), 1_000_000);
        (0..500).for_each(|_| queue.end_work(WORK_US));
        (0..waiting).for_each(|_| std::mem::forget(queue.enter()));
        (0..200).for_each(|_| queue.note_arrival(false, now_us));
        queue.is_standing.store(true, Ordering::Relaxed);
        queue.begin_work(now_us);
        (queue, now_us)
    }

    #[test]
    fn a_burst_may_wait_and_a_standing_queue_is_cut_to_the_target_until_it_is_empty() {
        let queue = Queue::new(5, 1);
        let mut waiting: Vec<Counted<'_>> = (0..=SHORT_QUEUE_PER_WORKER).map(|_| queue.enter()).collect();
        let waited = |now_ms: i64, waited_ms: i64| queue.judge((now_ms - waited_ms) * 1000, now_ms * 1000).is_ok();
        queue.note_arrival(true, 1_000_000);
        assert!(waited(1090, 90), "a burst");
        assert!(!waited(1110, 6), "the queue was not empty for 100 ms");
        assert!(waited(1111, 5));
        assert!(!waited(1112, 6), "one request that waited for less than the target does not end a standing queue");
        (0..200).for_each(|_| queue.note_arrival(false, 1_113_000));
        queue.note_arrival(true, 1_113_000);
        assert!(!waited(1120, 6), "nor does one that happened to find the queue empty");
        (0..10).for_each(|_| queue.note_arrival(true, 1_121_000));
        assert!(waited(1200, 80), "it is empty often enough");
        assert!(!waited(2000, 500));
        waiting.pop();
        assert!(waited(2000, 500), "a short queue: other processes use the CPU");
    }

    #[test]
    fn with_a_target_of_0_no_request_is_refused_for_waiting() {
        assert!(Queue::new(0, 0).judge(0, i64::MAX).is_ok());
    }

    #[test]
    fn a_request_that_would_wait_too_long_in_a_standing_queue_is_not_queued() {
        for (waiting, is_hopeless) in [(0, false), (8, false), (9, true), (1000, true)] {
            let (queue, now_us) = standing(waiting);
            assert_eq!(queue.is_hopeless(now_us), is_hopeless, "{waiting} × 0.9 ms, of 7.5 ms");
            assert!(!queue.is_hopeless(now_us + 4 * WORK_US + 50), "no work began during the time of four requests");
            queue.is_standing.store(false, Ordering::Relaxed);
            assert!(!queue.is_hopeless(now_us), "a burst");
        }
        let (queue, now_us) = standing(200);
        (0..500).for_each(|_| queue.end_work(30));
        assert!(!queue.is_hopeless(now_us), "quick work: 200 wait for 6 ms");
        let queue = Queue::new(0, 1);
        (0..1000).for_each(|_| std::mem::forget(queue.enter()));
        assert!(!queue.is_hopeless(0), "no request is refused for waiting");
    }

    #[test]
    fn a_queue_ends_even_if_new_requests_are_not_queued() {
        let (queue, now_us) = standing(9);
        (0..1000).for_each(|_| std::mem::forget(queue.turn_away()));
        queue.waiting.fetch_sub(1, Ordering::Relaxed);
        assert!(!queue.is_hopeless(now_us), "one of the waiting requests was served");
        queue.waiting.store(0, Ordering::Relaxed);
        let arrivals = (1..).find(|_| {
            queue.note_arrival(true, now_us);
            !queue.is_standing.load(Ordering::Relaxed)
        });
        assert_eq!(arrivals, Some(6), "as many as without such refusals");
    }

    #[test]
    fn the_delay_of_refusals_grows_with_their_number() {
        let queue = Queue::new(10, 1);
        let mut held = Vec::new();
        for (refused, delay_ms) in [(1, 10), (100, 10), (101, 10), (500, 50), (1000, 100), (5000, 100)] {
            while held.len() < refused {
                held.push(queue.turn_away());
            }
            let last_ms = held.last().map(|(_, _, delay)| delay.as_millis());
            assert_eq!(last_ms, Some(delay_ms), "{refused}");
        }
        held.clear();
        assert_eq!(queue.turn_away().2.as_millis(), 10);
        assert_eq!(Queue::new(10_000, 1).turn_away().2.as_millis(), 100, "others may wait for long");
    }

    #[test]
    fn immediate_retries_leave_a_quarter_of_the_time_for_work() {
        let (queue, began_us) = standing(1000);
        let (mut now_us, mut served) = (began_us, 0);
        while now_us < began_us + 10_000_000 {
            if queue.claim_gap(now_us) {
                assert!(!queue.claim_gap(now_us), "one of the simultaneous requests");
                served += 1;
                now_us += WORK_US;
                queue.end_work(WORK_US);
            } else {
                now_us += REFUSAL_US;
            }
        }
        let percent = served * WORK_US * 100 / (now_us - began_us);
        assert!((24..=26).contains(&percent), "{percent} %");
    }

    #[test]
    fn no_request_overtakes_while_work_begins_often_or_there_is_no_standing_queue() {
        let (queue, now_us) = standing(20);
        assert!(!queue.claim_gap(now_us + 3 * WORK_US));
        queue.is_standing.store(false, Ordering::Relaxed);
        assert!(!queue.claim_gap(now_us + 1_000_000));
        let (queue, now_us) = (Queue::new(10, 4), 1_000_000);
        (0..500).for_each(|_| queue.end_work(WORK_US));
        queue.is_standing.store(true, Ordering::Relaxed);
        queue.begin_work(now_us);
        assert!(!queue.claim_gap(now_us + WORK_US - 50) && queue.claim_gap(now_us + WORK_US + 50), "four threads");
    }

    #[test]
    fn a_stopped_process_does_not_count_the_pause_as_work() {
        let (queue, _) = standing(0);
        queue.end_work(3_600_000_000);
        assert!(queue.work_us() < 5 * WORK_US, "{} µs", queue.work_us());
    }
}
