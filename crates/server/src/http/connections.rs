//! Open connections: limits how many there are in total and per address, and decides which one is closed to make room.
//!
//! Requests never take a lock here, only opening and closing a connection does.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_protocol::UnixTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::activity::{Activity, Spare};
use crate::config::Http;
use crate::http::front::Front;
use crate::http::source::Source;
use crate::limits::MAX_OPERATOR_CONNECTIONS;

/// A connection that waits for room asks another one to close after this time, because the previous one may have become
/// busy.
const ASK_INTERVAL: Duration = Duration::from_millis(100);
/// While no connection can be spared, the next search starts after this time, because a search takes longer the more
/// connections there are.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// The share of all connections that one search finds, so that it serves many new connections.
const FOUND_SHARE: usize = 16;
/// How often to warn about an address with too many connections, in seconds.
const WARN_EACH_S: i64 = 15 * 60;
/// The maximum number of addresses to remember for warnings. Others are counted without a warning.
const MAX_WARNED: usize = 1000;

/// All connections of a listener.
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
    held: HashMap<u64, (Arc<Activity>, Option<Source>)>,
    by_source: HashMap<Source, usize>,
    /// Some of the connections that the last search found to be spared, in this order.
    spared: VecDeque<Candidate>,
    /// When an address was last warned about.
    warned: HashMap<Source, UnixTime>,
}

/// A connection that can be closed to make room. The first in this order is closed: an idle one, of the address with the
/// most connections, idle for longest.
///
/// Time alone would not do, because a peer can renew that: newcomers would be the only ones to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    spare: Spare,
    crowd: Reverse<usize>,
    since: u64,
    id: u64,
}

/// The entry of a connection, until this is dropped.
pub(super) struct Held {
    connections: Arc<Connections>,
    id: u64,
    source: Option<Source>,
    /// The activity of the connection.
    pub(super) activity: Arc<Activity>,
    room: Option<OwnedSemaphorePermit>,
}

impl Connections {
    /// Creates the limits of a listener. The metrics listener has its own.
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

    /// Adds a connection. Returns `None` if its address has too many.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Held> {
        let source = (!self.front.trusts(peer)).then(|| Source::of(peer));
        let activity = Activity::new(&self.moments, &self.front.state().clock);
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
        table.held.insert(id, (activity.clone(), source));
        drop(table);
        Some(Held { connections: self.clone(), id, source, activity, room: None })
    }

    /// Waits until there is room for a connection, by asking another one to close.
    pub(super) async fn wait_for_room(&self, held: &mut Held) {
        while held.room.is_none() {
            held.room = self.room.clone().try_acquire_owned().ok();
            if held.room.is_some() {
                return;
            }
            let wait = if self.ask_another(held.id) { ASK_INTERVAL } else { LOOK_INTERVAL };
            // The semaphore is never closed.
            held.room = timeout(wait, self.room.clone().acquire_owned()).await.ok().and_then(Result::ok);
        }
    }

    /// Asks the connection of the first [`Candidate`] to close. Returns false if none can be spared.
    fn ask_another(&self, newcomer: u64) -> bool {
        let mut table = self.table();
        let found = table.pop_spared().or_else(|| {
            table.look_for_spared(newcomer);
            table.pop_spared()
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
    /// Returns the first connection of the last search that can still be spared and has done nothing since.
    fn pop_spared(&mut self) -> Option<Arc<Activity>> {
        while let Some(Candidate { spare, since, id, .. }) = self.spared.pop_front() {
            let still = self
                .held
                .get(&id)
                .filter(|(activity, _)| activity.spare_since().is_some_and(|(now, at)| at == since && now <= spare));
            if let Some((activity, _)) = still {
                return Some(activity.clone());
            }
        }
        None
    }

    fn look_for_spared(&mut self, newcomer: u64) {
        let candidate = |(id, (activity, source)): (&u64, &(Arc<Activity>, Option<Source>))| {
            let (spare, since) = activity.spare_since()?;
            let crowd = source.and_then(|source| self.by_source.get(&source)).copied().unwrap_or(1);
            Some(Candidate { spare, crowd: Reverse(crowd), since, id: *id })
        };
        let others = self.held.iter().filter(|(id, _)| **id != newcomer);
        let mut found: Vec<Candidate> = others.filter_map(candidate).collect();
        let wanted = (self.held.len() / FOUND_SHARE).max(1);
        if found.len() > wanted {
            found.select_nth_unstable(wanted);
            found.truncate(wanted);
        }
        found.sort_unstable();
        self.spared = found.into();
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
