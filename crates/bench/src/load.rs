//! Closed-loop load: 64 keep-alive connections that send prepared requests, each as soon as the previous one is answered.
//!
//! The generator never sleeps. Otherwise, the server would spend several µs per response on the interrupt that wakes the
//! generator's core, and a slower server would do so more often.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::plan::Plan;
use crate::process::Server;
use crate::request::Requests;
use crate::{Outcome, cores, watch};

/// The number of connections.
pub(crate) const CONNECTIONS: usize = 64;
/// If the generator uses more than this share of its core, the round measures the generator and is void.
pub(crate) const MAX_GENERATOR_BUSY: f64 = 0.9;
/// The value that ends a round, in place of the count of handled requests.
const ALL_HANDLED: u64 = u64::MAX;
/// The length of a turn, so that other activity of the machine affects both sides equally.
const TURN: Duration = Duration::from_millis(250);

/// A server and the requests to send.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    /// The server.
    pub(crate) server: &'a Server,
    /// The requests.
    pub(crate) requests: &'a Requests,
}

/// The result of a round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Requests with status 200.
    pub(crate) answered: u64,
    /// Requests with another status or without a response.
    pub(crate) failed: u64,
    /// The server's CPU time per request, in µs.
    pub(crate) cost_us: f64,
    /// Responses per second.
    pub(crate) per_s: f64,
    /// The median latency, in ms.
    pub(crate) p50_ms: f64,
    /// The 99th percentile of the latency, in ms.
    pub(crate) p99_ms: f64,
    /// The share of both cores that neither the server nor the generator used.
    pub(crate) others_busy: f64,
    /// The share of its core that the generator needed.
    pub(crate) generator_busy: f64,
}

/// Runs rounds of two sides in turns of a fraction of a second, so that both see the same machine.
pub(crate) async fn compare(plan: &Plan, first: Side<'_>, second: Side<'_>) -> Outcome<(Vec<Round>, Vec<Round>)> {
    take_turn(first, plan.warm_up).await?;
    take_turn(second, plan.warm_up).await?;
    let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let (mut sum_of_first, mut sum_of_second) = (Sum::default(), Sum::default());
        let began = watch::now();
        while began.elapsed() < 2 * plan.round {
            sum_of_first.add(take_turn(first, TURN).await?);
            sum_of_second.add(take_turn(second, TURN).await?);
        }
        of_first.push(sum_of_first.close()?);
        of_second.push(sum_of_second.close()?);
    }
    Ok((of_first, of_second))
}

/// Runs one round of one side.
pub(crate) async fn run(side: Side<'_>, length: Duration) -> Outcome<Round> {
    take_turn(side, length).await?.close()
}

/// The counts of one side's turns.
#[derive(Default)]
struct Sum {
    took_ns: Vec<u32>,
    failed: u64,
    wall: Duration,
    /// CPU time of the server, of the generator, and in total on both cores.
    cpu: [Duration; 3],
    generator_idle: Duration,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.took_ns.extend(other.took_ns);
        self.failed += other.failed;
        self.wall += other.wall;
        self.generator_idle += other.generator_idle;
        for (sum, cpu) in self.cpu.iter_mut().zip(other.cpu) {
            *sum += cpu;
        }
    }

    /// Computes the result of the round. Fails if it is void.
    fn close(mut self) -> Outcome<Round> {
        let wall_s = self.wall.as_secs_f64();
        let generator_busy = 1.0 - self.generator_idle.as_secs_f64() / wall_s;
        if generator_busy > MAX_GENERATOR_BUSY {
            let percent = generator_busy * 100.0;
            return Err(format!("void: the generator's core is {percent:.0} % busy, so it limits the server").into());
        }
        self.took_ns.sort_unstable();
        let answered = u64::try_from(self.took_ns.len())?;
        let percentile_ms = |percent: usize| {
            self.took_ns.get(self.took_ns.len() * percent / 100).map_or(f64::NAN, |ns| f64::from(*ns) / 1e6)
        };
        let [server, generator, both] = self.cpu;
        Ok(Round {
            answered,
            failed: self.failed,
            cost_us: server.as_secs_f64() * 1e6 / count(answered + self.failed),
            per_s: count(answered) / wall_s,
            p50_ms: percentile_ms(50),
            p99_ms: percentile_ms(99),
            generator_busy,
            others_busy: both.saturating_sub(server + generator).as_secs_f64() / (2.0 * wall_s),
        })
    }
}

async fn take_turn(side: Side<'_>, length: Duration) -> Outcome<Sum> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(side.server.address).await?);
    }
    let cpu = || -> Outcome<[Duration; 3]> {
        Ok([cores::cpu_time(side.server.id())?, cores::cpu_time(std::process::id())?, cores::busy_time()?])
    };
    let (cpu_before, began) = (cpu()?, watch::now());
    let handled = Arc::new(AtomicU64::new(0));
    let idling = tokio::spawn(idle(handled.clone()));
    let mut senders = JoinSet::new();
    for (index, connection) in connections.into_iter().enumerate() {
        let (requests, handled) = (side.requests.clone(), handled.clone());
        let from = index * requests.len() / CONNECTIONS;
        senders.spawn(async move { send(connection, &requests[..], from, began + length, &handled).await });
    }
    let mut sum = Sum::default();
    while let Some(sent) = senders.join_next().await {
        let sent = sent?;
        sum.took_ns.extend(sent.took_ns);
        sum.failed += sent.failed;
    }
    sum.wall = began.elapsed();
    let cpu_after = cpu()?;
    sum.cpu = std::array::from_fn(|index| cpu_after[index].saturating_sub(cpu_before[index]));
    handled.store(ALL_HANDLED, Ordering::Relaxed);
    sum.generator_idle = idling.await?;
    Ok(sum)
}

#[derive(Default)]
struct Sent {
    took_ns: Vec<u32>,
    failed: u64,
}

/// Sends requests until the time is up, and counts the responses.
async fn send(
    mut connection: Connection,
    requests: &[Vec<u8>],
    from: usize,
    until: Instant,
    handled: &AtomicU64,
) -> Sent {
    let mut sent = Sent::default();
    let mut began = watch::now();
    for request in requests.iter().cycle().skip(from) {
        let answer = connection.exchange(request).await.map(|answer| answer.status);
        let ended = watch::now();
        handled.fetch_add(1, Ordering::Relaxed);
        match answer {
            Ok(200) => sent.took_ns.push(u32::try_from((ended - began).as_nanos()).unwrap_or(u32::MAX)),
            Ok(_) => sent.failed += 1,
            Err(_) => {
                sent.failed += 1;
                break;
            }
        }
        if ended >= until {
            break;
        }
        began = ended;
    }
    sent
}

/// Keeps the generator awake. Returns how long it had nothing to do.
async fn idle(handled: Arc<AtomicU64>) -> Duration {
    let (mut idle, mut seen, mut at) = (Duration::ZERO, 0, watch::now());
    loop {
        tokio::task::yield_now().await;
        let (count, now) = (handled.load(Ordering::Relaxed), watch::now());
        if count == ALL_HANDLED {
            return idle;
        }
        if count == seen {
            idle += now - at;
        }
        (seen, at) = (count, now);
    }
}

/// Converts a count for division. No count here is near 2^32.
pub(crate) fn count(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
