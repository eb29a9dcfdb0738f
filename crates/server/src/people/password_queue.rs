//! The queue of passwords that wait to be hashed.
//!
//! Known devices go first, up to a limit in a row. The queue alternates between sites, between the networks in a site,
//! and between the user names in a network. A hundred requests from one attacker only delay each other.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_protocol::refusal::Refusal;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::http::source::Source;
use crate::limits::{PASSWORD_QUEUE, PASSWORD_SLOTS};
use crate::people::name_mac::NameMac;

/// The number of remembered turns. A network or name without a recent turn goes first, so attackers need as many sites to
/// look like newcomers.
const REMEMBERED_TURNS: usize = 16 * PASSWORD_QUEUE;

/// The maximum number of turns of known devices in a row while unknown ones wait, so that a few busy devices cannot
/// block everyone else.
const MAX_KNOWN_IN_A_ROW: usize = 3;
/// The maximum wait. After that, a caller has given up.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// A request that waits.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    /// The caller's address.
    pub source: Source,
    /// The user name.
    pub name: NameMac,
    /// Whether the device is known for this user.
    pub is_known: bool,
}

/// A queue for [`PASSWORD_SLOTS`].
#[derive(Clone, Debug)]
pub(crate) struct PasswordQueue(Arc<Mutex<Line>>);

#[derive(Debug)]
struct Line {
    free: usize,
    waiting: Vec<Waiting>,
    next_ticket: u64,
    /// The last turns, most recent last.
    turns: VecDeque<(Source, NameMac)>,
    /// The number of turns of known devices since the last one of an unknown device.
    known_in_a_row: usize,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    who: Who,
    call: oneshot::Sender<Turn>,
}

/// A turn to hash. Dropping it passes the turn to the next request.
#[derive(Debug)]
pub(crate) struct Turn(Option<PasswordQueue>);

impl PasswordQueue {
    /// Creates an empty queue.
    pub fn new() -> Self {
        let (waiting, turns) = (Vec::new(), VecDeque::new());
        let line = Line { free: PASSWORD_SLOTS, waiting, next_ticket: 0, turns, known_in_a_row: 0 };
        Self(Arc::new(Mutex::new(line)))
    }

    /// Waits for a turn. If the queue is full, drops an entry of the site and network with the most entries, which may
    /// be this one.
    pub async fn wait(&self, who: Who) -> Result<Turn, Refusal> {
        let (call, called) = oneshot::channel();
        let _place = {
            let mut line = self.lock();
            if line.free > 0 {
                line.free -= 1;
                line.remember(who);
                return Ok(Turn(Some(self.clone())));
            }
            let ticket = line.next_ticket;
            line.next_ticket += 1;
            line.waiting.push(Waiting { ticket, who, call });
            line.drop_beyond_bound();
            Place { queue: self.clone(), ticket }
        };
        let called = timeout(MAX_WAIT, called).await;
        called.ok().and_then(Result::ok).ok_or(Refusal::Overloaded("too many passwords are waiting to be checked"))
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue. It is removed on drop, so that a caller who has disconnected gets no turn.
struct Place {
    queue: PasswordQueue,
    ticket: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let waiting = &mut self.queue.lock().waiting;
        if let Some(index) = waiting.iter().position(|waiting| waiting.ticket == self.ticket) {
            waiting.swap_remove(index);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(queue) = self.0.take() else { return };
        let mut line = queue.lock();
        while let Some(next) = line.take_next() {
            match next.call.send(Turn(Some(queue.clone()))) {
                Ok(()) => return,
                // The caller has disconnected. The turn must not be passed on twice.
                Err(mut unheard) => unheard.0 = None,
            }
        }
        line.free += 1;
    }
}

impl Line {
    fn remember(&mut self, who: Who) {
        if self.turns.len() == REMEMBERED_TURNS {
            self.turns.pop_front();
        }
        self.turns.push_back((who.source, who.name));
        self.known_in_a_row = if who.is_known { self.known_in_a_row + 1 } else { 0 };
    }

    /// Returns when the site, the network and the name last had a turn. Without a turn, they go first.
    fn last_turns(&self, who: &Who) -> [Option<usize>; 3] {
        let last_turn = |is_it: &dyn Fn(&(Source, NameMac)) -> bool| self.turns.iter().rposition(is_it);
        let site = who.source.site();
        [
            last_turn(&|(source, _)| source.site() == site),
            last_turn(&|(source, _)| *source == who.source),
            last_turn(&|(source, name)| *source == who.source && *name == who.name),
        ]
    }

    /// Takes the next entry: known devices first, then the site, network and name that have waited longest for a turn,
    /// then the oldest entry.
    fn take_next(&mut self) -> Option<Waiting> {
        let is_known_next = self.known_in_a_row < MAX_KNOWN_IN_A_ROW;
        let order = |(_, Waiting { ticket, who, .. }): &(usize, &Waiting)| {
            (who.is_known != is_known_next, self.last_turns(who), *ticket)
        };
        let (index, _) = self.waiting.iter().enumerate().min_by_key(order)?;
        let next = self.waiting.swap_remove(index);
        self.remember(next.who);
        Some(next)
    }

    /// Drops an entry of the site with the most entries, and of the network with the most entries in it: an unknown
    /// device before a known one, then of the name with the most entries. If there is a tie, drops the one that had a
    /// turn most recently, so that callers without a turn find room.
    fn drop_beyond_bound(&mut self) {
        if self.waiting.len() <= PASSWORD_QUEUE {
            return;
        }
        let count = |is_it: &dyn Fn(&Who) -> bool| self.waiting.iter().filter(|waiting| is_it(&waiting.who)).count();
        let order = |(_, Waiting { ticket, who, .. }): &(usize, &Waiting)| {
            let of_site = count(&|other| other.source.site() == who.source.site());
            let of_source = count(&|other| other.source == who.source);
            let of_name = count(&|other| other.source == who.source && other.name == who.name);
            (of_site, of_source, !who.is_known, of_name, self.last_turns(who), *ticket)
        };
        if let Some((index, _)) = self.waiting.iter().enumerate().max_by_key(order) {
            self.waiting.swap_remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::task::JoinHandle;

    use super::*;

    fn who(source: u8, name: u8, is_known: bool) -> Who {
        let source = Source::of([192, 0, 2, source].into());
        Who { source, name: NameMac::from_bytes(&[name; 32]).expect("32 bytes"), is_known }
    }

    /// Joins the queue, and is in it when this returns.
    async fn join(queue: &PasswordQueue, who: Who) -> JoinHandle<Result<Turn, Refusal>> {
        let queue = queue.clone();
        let joined = tokio::spawn(async move { queue.wait(who).await });
        tokio::task::yield_now().await;
        joined
    }

    /// Returns a queue with all slots taken.
    async fn full() -> (PasswordQueue, Vec<Turn>) {
        let queue = PasswordQueue::new();
        let mut turns = Vec::new();
        for _ in 0..PASSWORD_SLOTS {
            turns.push(queue.wait(who(0, 0, false)).await.expect("a turn"));
        }
        (queue, turns)
    }

    async fn order_of(waiting: Vec<(char, JoinHandle<Result<Turn, Refusal>>)>, first: Vec<Turn>) -> String {
        let (mut waiting, mut order, mut turns) = (waiting, String::new(), first);
        turns.truncate(1);
        while !waiting.is_empty() {
            turns.clear();
            tokio::task::yield_now().await;
            let ready = waiting.iter().position(|(_, joined)| joined.is_finished()).expect("one is called");
            let (letter, joined) = waiting.remove(ready);
            order.push(letter);
            turns.push(joined.await.expect("joins").expect("a turn"));
        }
        order
    }

    #[tokio::test]
    async fn networks_and_names_take_turns_and_known_devices_go_first() {
        let (queue, mut turns) = full().await;
        let others = turns.split_off(1);
        let mut waiting = Vec::new();
        for (letter, one) in [
            ('a', who(1, 1, false)),
            ('b', who(1, 1, false)),
            ('c', who(1, 2, false)),
            ('d', who(2, 3, false)),
            ('e', who(3, 4, true)),
            ('f', who(0, 9, false)),
        ] {
            waiting.push((letter, join(&queue, one).await));
        }
        assert_eq!(order_of(waiting, turns).await, "eadfcb");
        drop(others);
    }

    #[tokio::test]
    async fn known_devices_leave_turns_for_others() {
        let (queue, mut turns) = full().await;
        let others = turns.split_off(1);
        let mut waiting = Vec::new();
        for (letter, one) in [
            ('a', who(1, 1, true)),
            ('b', who(1, 1, true)),
            ('c', who(1, 1, true)),
            ('d', who(1, 1, true)),
            ('e', who(1, 1, true)),
            ('u', who(2, 2, false)),
        ] {
            waiting.push((letter, join(&queue, one).await));
        }
        assert_eq!(order_of(waiting, turns).await, "abcude");
        drop(others);
    }

    #[tokio::test]
    async fn a_full_queue_accepts_another_network_but_no_more_of_the_same() {
        let (queue, turns) = full().await;
        let mut strangers = Vec::new();
        for name in 0..PASSWORD_QUEUE {
            strangers.push(join(&queue, who(1, u8::try_from(name).expect("small"), false)).await);
        }
        let refused = queue.wait(who(1, 99, false)).now_or_never().expect("immediately");
        assert!(matches!(refused, Err(Refusal::Overloaded(_))));
        let other = join(&queue, who(2, 1, false)).await;
        let known = join(&queue, who(1, 1, true)).await;
        assert_eq!(strangers.iter().filter(|joined| joined.is_finished()).count(), 2, "the two newest ones");
        drop(turns);
        assert!(known.await.expect("joins").is_ok() && other.await.expect("joins").is_ok());
    }

    #[tokio::test]
    async fn a_disconnected_caller_leaves_the_queue_without_losing_a_turn() {
        let (queue, turns) = full().await;
        let gone = join(&queue, who(1, 1, false)).await;
        gone.abort();
        let _ = gone.await;
        assert!(queue.lock().waiting.is_empty());
        drop(turns);
        assert_eq!(queue.lock().free, PASSWORD_SLOTS);
        // Called, and disconnected before being notified.
        let (queue, turns) = full().await;
        let (call, called) = oneshot::channel();
        queue.lock().waiting.push(Waiting { ticket: 7, who: who(1, 1, false), call });
        drop(turns);
        drop(called);
        assert_eq!(queue.lock().free, PASSWORD_SLOTS);
    }

    #[tokio::test]
    async fn networks_of_one_site_and_those_already_served_make_room_for_new_ones() {
        let (queue, turns) = full().await;
        let of = |address: String, name| Who {
            source: Source::of(address.parse().expect("an address")),
            ..who(0, name, false)
        };
        let mut strangers = Vec::new();
        for network in 0..u8::try_from(PASSWORD_QUEUE).expect("small") {
            strangers.push(join(&queue, of(format!("2001:db8:7:{network:x}::1"), network)).await);
        }
        let victim = join(&queue, of("2001:db8:8::1".to_owned(), 99)).await;
        assert!(!victim.is_finished(), "one of the others made room");
        assert_eq!(strangers.iter().filter(|joined| joined.is_finished()).count(), 1);
        drop((turns, strangers, victim));

        // More sites than the queue has places, each of which has had a turn. Those that wait had theirs first.
        let (queue, turns) = full().await;
        let site = |number: u8| of(format!("10.0.{number}.1"), number);
        (0..200).for_each(|number| queue.lock().remember(site(number)));
        let mut strangers = Vec::new();
        for number in 0..u8::try_from(PASSWORD_QUEUE).expect("small") {
            strangers.push(join(&queue, site(number)).await);
        }
        let victim = join(&queue, of("10.9.0.1".to_owned(), 99)).await;
        assert!(!victim.is_finished() && strangers.last().is_some_and(JoinHandle::is_finished));
        drop((turns, strangers, victim));
    }
}
