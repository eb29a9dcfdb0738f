//! Open-loop load: requests are sent when they are due, whether or not the server has answered the previous ones.
//!
//! The gaps between arrivals are random with a fixed mean (a Poisson process), like those of independent callers. Latency
//! counts from the time when a request was due, so that a slow server cannot slow down the measurement. A request that is due
//! while no connection is free is neither sent nor counted, because it would wait in the generator instead of the server. With
//! few connections, these limit the load.
//!
//! As in `load.rs`, the generator never sleeps.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinSet, yield_now};

use crate::connection::Connection;
use crate::load::MAX_GENERATOR_BUSY;
use crate::request::Requests;
use crate::{Outcome, watch};

/// The number of loopback addresses for connections: 127.0.0.2 and the following ones.
const SOURCES: usize = 8;
/// A request without a response after this time fails.
const LAST_ANSWER: Duration = Duration::from_secs(15);

/// When to send requests.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// This many per second.
    PerSecond(f64),
    /// This many at a time, each sent when another one is answered. This measures the server's peak.
    AtOnce(u64),
}

/// A period with one pace.
pub(crate) struct Stretch {
    pub(crate) pace: Pace,
    pub(crate) length: Duration,
}

/// A finished request.
#[derive(Clone, Copy)]
pub(crate) struct Answered {
    /// When it was due, since the start.
    pub(crate) due: Duration,
    /// From then until the end of its response.
    pub(crate) took: Duration,
    /// 0 without a response.
    pub(crate) status: u16,
}

/// Open connections that wait for orders.
pub(crate) struct Fleet {
    shared: Arc<Shared>,
    orders: Vec<UnboundedSender<Instant>>,
    _tasks: JoinSet<()>,
}

struct Shared {
    address: SocketAddr,
    requests: Requests,
    free: Mutex<VecDeque<usize>>,
    answered: Mutex<Vec<(Instant, Duration, u16)>>,
    handled: AtomicU64,
}

impl Fleet {
    /// Opens this many connections.
    pub(crate) async fn open(address: SocketAddr, requests: &Requests, connections: usize) -> Outcome<Self> {
        let shared = Arc::new(Shared {
            address,
            requests: requests.clone(),
            free: Mutex::default(),
            answered: Mutex::default(),
            handled: AtomicU64::new(0),
        });
        let (mut orders, mut tasks) = (Vec::new(), JoinSet::new());
        for index in 0..connections {
            let connection = Connection::open_from(source(index), address).await?;
            let (order, ordered) = unbounded_channel();
            orders.push(order);
            tasks.spawn(serve_orders(shared.clone(), index, connection, ordered));
        }
        Ok(Self { shared, orders, _tasks: tasks })
    }

    /// Sends the requests of these periods without a pause in between. Returns the finished requests, and how many found no free
    /// connection. Fails if the generator was too busy to be exact.
    pub(crate) async fn drive(&self, stretches: &[Stretch]) -> Outcome<(Vec<Answered>, u64)> {
        let began = watch::now();
        let mut gaps = Gaps(1);
        let (mut sent, mut unsent, mut from) = (self.shared.handled.load(Ordering::Relaxed), 0, began);
        for Stretch { pace, length } in stretches {
            let until = from + *length;
            let (mut due, mut idle, mut seen, mut at) = (from, Duration::ZERO, 0, from);
            while at < until {
                let handled = self.shared.handled.load(Ordering::Relaxed);
                let has_room = |sent| {
                    matches!(pace, Pace::PerSecond(_)) || matches!(pace, Pace::AtOnce(most) if sent - handled < *most)
                };
                let before = sent + unsent;
                while due <= at && has_room(sent) {
                    if self.send(due) {
                        sent += 1;
                    } else {
                        unsent += 1;
                    }
                    due = match pace {
                        Pace::PerSecond(rate) => due + gaps.next(*rate),
                        Pace::AtOnce(_) => at,
                    };
                }
                yield_now().await;
                let now = watch::now();
                if handled == seen && before == sent + unsent {
                    idle += now - at;
                }
                (seen, at) = (handled, now);
            }
            let busy = 1.0 - idle.as_secs_f64() / length.as_secs_f64();
            if busy > MAX_GENERATOR_BUSY {
                return Err(format!("void: the generator's core is {:.0} % busy", busy * 100.0).into());
            }
            from = until;
        }
        self.finish(sent).await?;
        let answered = std::mem::take(&mut *self.shared.answered.lock().unwrap_or_else(PoisonError::into_inner));
        let answered = answered.into_iter().map(|(due, took, status)| Answered { due: due - began, took, status });
        Ok((answered.collect(), unsent))
    }

    /// Sends a request. Returns false if no connection is free.
    fn send(&self, due: Instant) -> bool {
        let free = self.shared.free.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        free.and_then(|index| self.orders.get(index)?.send(due).ok()).is_some()
    }

    async fn finish(&self, sent: u64) -> Outcome<()> {
        let began = watch::now();
        while self.shared.handled.load(Ordering::Relaxed) < sent {
            if began.elapsed() > LAST_ANSWER {
                return Err("some requests got no response".into());
            }
            yield_now().await;
        }
        Ok(())
    }
}

/// Uses the addresses in turn.
fn source(index: usize) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(index % SOURCES).unwrap_or_default()), 0).into()
}

async fn serve_orders(
    shared: Arc<Shared>,
    index: usize,
    mut connection: Connection,
    mut orders: UnboundedReceiver<Instant>,
) {
    let mut requests = shared.requests.iter().cycle().skip(index);
    shared.give_back(index);
    loop {
        let order = tokio::select! {
            biased;
            order = orders.recv() => order,
            // The server closes connections that are idle for long. Reopen them before they are needed.
            () = connection.closed() => {
                connection = reopen(&shared, index).await;
                continue;
            }
        };
        let (Some(due), Some(request)) = (order, requests.next()) else { return };
        let mut answer = connection.exchange(request).await.map(|answer| answer.status);
        if answer.is_err() {
            // The server closed it at this moment. Retry once, like any client.
            connection = reopen(&shared, index).await;
            answer = connection.exchange(request).await.map(|answer| answer.status);
        }
        let took = watch::now() - due;
        let mut answered = shared.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.push((due, took, answer.unwrap_or_default()));
        drop(answered);
        shared.handled.fetch_add(1, Ordering::Relaxed);
        shared.give_back(index);
    }
}

async fn reopen(shared: &Shared, index: usize) -> Connection {
    loop {
        match Connection::open_from(source(index), shared.address).await {
            Ok(connection) => return connection,
            Err(_) => yield_now().await,
        }
    }
}

impl Shared {
    fn give_back(&self, index: usize) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push_back(index);
    }
}

/// Random gaps, the same in every run.
struct Gaps(u64);

impl Gaps {
    /// A gap with an exponential distribution, for this many arrivals per second.
    fn next(&mut self, per_s: f64) -> Duration {
        // SplitMix64. 32 of its bits are random enough here.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bits = u32::try_from(mixed >> 32).unwrap_or_default();
        Duration::from_secs_f64(
            -(f64::from(bits) + 1.0).log2().mul_add(std::f64::consts::LN_2, -32.0 * std::f64::consts::LN_2) / per_s,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_the_mean_of_their_rate() {
        let mut gaps = Gaps(1);
        let sum: Duration = (0..100_000).map(|_| gaps.next(1000.0)).sum();
        assert!((sum.as_secs_f64() - 100.0).abs() < 2.0, "{sum:?}");
    }
}
