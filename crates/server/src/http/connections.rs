//! The connections that are held: how many in all and of one address, and which gives way when there is no room.
//!
//! Nothing here is locked for a request, only when a connection begins or ends.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_protocol::UnixTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::activity::Activity;
use crate::config::Http;
use crate::http::front::Front;
use crate::http::source::Source;
use crate::limits::MAX_OPERATOR_CONNECTIONS;

/// One that waits for room asks another connection to give way after this time: the last may have become busy.
const ASK_INTERVAL: Duration = Duration::from_millis(100);
/// While none is idle, it is looked again after this time: looking takes longer the more connections there are.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Of the idle connections so many are found in one look, as a share of all: one look serves as many newcomers.
const FOUND_SHARE: usize = 16;
/// An address that has too many connections is warned of this often, in seconds.
const WARN_EACH_S: i64 = 15 * 60;
/// Addresses that it is remembered of; while there are more, the rest is counted without a warning.
const MAX_WARNED: usize = 1000;

/// Every connection of one listener.
pub(super) struct Connections {
    room: Arc<Semaphore>,
    most_per_address: usize,
    front: Front,
    moments: Arc<AtomicU64>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next_id: u64,
    held: HashMap<u64, Arc<Activity>>,
    by_source: HashMap<Source, usize>,
    /// Some of the idle ones as of the last look, the longest idle first, each with the moment since which it was.
    idle: VecDeque<(u64, u64)>,
    /// When an address was last warned of.
    warned: HashMap<Source, UnixTime>,
}

/// One connection's entry, until this is dropped.
pub(super) struct Held {
    connections: Arc<Connections>,
    id: u64,
    source: Option<Source>,
    /// What it does.
    pub(super) activity: Arc<Activity>,
    room: Option<OwnedSemaphorePermit>,
}

impl Connections {
    /// For a listener: that of the metrics has bounds of its own.
    pub fn new(http: &Http, front: &Front) -> Arc<Self> {
        let (most, most_per_address) = match front.is_for_operators() {
            true => (MAX_OPERATOR_CONNECTIONS, usize::MAX),
            false => (http.max_connections, http.most_per_address()),
        };
        Arc::new(Self {
            room: Arc::new(Semaphore::new(most)),
            most_per_address,
            front: front.clone(),
            moments: Arc::default(),
            table: Mutex::default(),
        })
    }

    /// Enters a connection; `None` if its address has too many.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Held> {
        let source = (!self.front.trusts(peer)).then(|| Source::of(peer));
        let activity = Activity::new(&self.moments);
        let mut table = self.table();
        if let Some(source) = source {
            let count = table.by_source.entry(source).or_default();
            if *count >= self.most_per_address {
                let is_new = table.is_to_be_warned_of(source, self.front.state().now());
                drop(table);
                self.refuse(peer, is_new);
                return None;
            }
            *count += 1;
        }
        let id = table.next_id;
        table.next_id += 1;
        table.held.insert(id, activity.clone());
        drop(table);
        Some(Held { connections: self.clone(), id, source, activity, room: None })
    }

    /// Waits until there is room for a connection: the one that has been idle longest gives way.
    pub(super) async fn wait_for_room(&self, held: &mut Held) {
        while held.room.is_none() {
            held.room = self.room.clone().try_acquire_owned().ok();
            if held.room.is_some() {
                return;
            }
            let wait = if self.ask_idle(held.id) { ASK_INTERVAL } else { LOOK_INTERVAL };
            // The semaphore is never closed.
            held.room = timeout(wait, self.room.clone().acquire_owned()).await.ok().and_then(Result::ok);
        }
    }

    /// Asks the connection that has been idle longest to give way; false if none is idle.
    fn ask_idle(&self, newcomer: u64) -> bool {
        let mut table = self.table();
        let found = table.pop_idle().or_else(|| {
            table.look_for_idle(newcomer);
            table.pop_idle()
        });
        drop(table);
        if let Some(activity) = &found {
            activity.ask();
            self.front.state().metrics.connections.closed_for_room.fetch_add(1, Ordering::Relaxed);
        }
        found.is_some()
    }

    fn refuse(&self, peer: IpAddr, is_new: bool) {
        self.front.state().metrics.connections.refused.fetch_add(1, Ordering::Relaxed);
        if is_new {
            let (address, most) = (peer.to_canonical(), self.most_per_address);
            tracing::warn!(
                %address,
                most,
                "an address has reached http.max_connections_per_address; further connections from it are closed"
            );
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The longest idle of those found at the last look that is still as idle.
    fn pop_idle(&mut self) -> Option<Arc<Activity>> {
        while let Some((since, id)) = self.idle.pop_front() {
            let still = self.held.get(&id).filter(|activity| activity.idle_since() == Some(since));
            if let Some(activity) = still {
                return Some(activity.clone());
            }
        }
        None
    }

    fn look_for_idle(&mut self, newcomer: u64) {
        let others = self.held.iter().filter(|(id, _)| **id != newcomer);
        let mut idle: Vec<(u64, u64)> =
            others.filter_map(|(id, activity)| Some((activity.idle_since()?, *id))).collect();
        let wanted = (self.held.len() / FOUND_SHARE).max(1);
        if idle.len() > wanted {
            idle.select_nth_unstable(wanted);
            idle.truncate(wanted);
        }
        idle.sort_unstable();
        self.idle = idle.into();
    }

    fn is_to_be_warned_of(&mut self, source: Source, now: UnixTime) -> bool {
        if self.warned.get(&source).is_some_and(|at| at + WARN_EACH_S > now) {
            return false;
        }
        if self.warned.len() >= MAX_WARNED {
            self.warned.retain(|_, at| *at + WARN_EACH_S > now);
        }
        let is_room = self.warned.len() < MAX_WARNED;
        if is_room {
            self.warned.insert(source, now);
        }
        is_room
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.held.remove(&self.id);
        if let Some(source) = self.source
            && let Some(count) = table.by_source.get_mut(&source)
        {
            *count -= 1;
            if *count == 0 {
                table.by_source.remove(&source);
            }
        }
    }
}
