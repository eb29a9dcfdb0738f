//! The load: 64 keep-alive connections that send pre-built requests, each as soon as the last is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::plan::Plan;
use crate::process::Server;
use crate::request::Requests;
use crate::{Outcome, cores, watch};

/// Connections held at once.
pub(crate) const CONNECTIONS: usize = 64;
/// Above this share of its core the generator is what is measured, and the round is void.
const MAX_GENERATOR_BUSY: f64 = 0.9;
/// How often a void round is tried again.
const ATTEMPTS: usize = 3;

/// A server, and what is asked of it.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    /// The server.
    pub(crate) server: &'a Server,
    /// The requests.
    pub(crate) requests: &'a Requests,
}

/// What one round gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Requests answered with 200.
    pub(crate) answered: u64,
    /// Requests answered otherwise, or not at all.
    pub(crate) failed: u64,
    /// The server's CPU time per request, in µs.
    pub(crate) cost_us: f64,
    /// Requests answered each second.
    pub(crate) per_s: f64,
    /// Half of all answers took no longer, in ms.
    pub(crate) p50_ms: f64,
    /// All answers but one of a hundred took no longer, in ms.
    pub(crate) p99_ms: f64,
    /// The share of both cores that neither the server nor the generator took.
    pub(crate) others_busy: f64,
    generator_busy: f64,
}

/// Rounds of two sides, in turns, so that both see the same machine.
pub(crate) async fn compare(plan: &Plan, first: Side<'_>, second: Side<'_>) -> Outcome<(Vec<Round>, Vec<Round>)> {
    run(first, plan.warm_up).await?;
    run(second, plan.warm_up).await?;
    let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
    for number in 0..plan.rounds {
        if number % 2 == 0 {
            of_first.push(run_valid(first, plan.round).await?);
            of_second.push(run_valid(second, plan.round).await?);
        } else {
            of_second.push(run_valid(second, plan.round).await?);
            of_first.push(run_valid(first, plan.round).await?);
        }
    }
    Ok((of_first, of_second))
}

async fn run_valid(side: Side<'_>, length: Duration) -> Outcome<Round> {
    for _ in 0..ATTEMPTS {
        let round = run(side, length).await?;
        if round.generator_busy <= MAX_GENERATOR_BUSY {
            return Ok(round);
        }
    }
    Err("the generator's core is over 90 % busy in every round: nothing can be said of the server".into())
}

/// One round.
pub(crate) async fn run(side: Side<'_>, length: Duration) -> Outcome<Round> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(side.server.address).await?);
    }
    let read = || {
        Ok::<_, Box<dyn std::error::Error>>([
            cores::cpu_time(side.server.id())?,
            cores::cpu_time(std::process::id())?,
            cores::busy_time()?,
        ])
    };
    let (before, began) = (read()?, watch::now());
    let mut senders = JoinSet::new();
    for (index, connection) in connections.into_iter().enumerate() {
        let requests = side.requests.clone();
        let from = index * requests.len() / CONNECTIONS;
        senders.spawn(send(connection, requests, from, began + length));
    }
    let (mut took_ns, mut failed) = (Vec::new(), 0);
    while let Some(sent) = senders.join_next().await {
        let sent = sent?;
        took_ns.extend(sent.took_ns);
        failed += sent.failed;
    }
    let (wall, after) = (began.elapsed(), read()?);
    let [server, generator, both] = std::array::from_fn(|index| after[index].saturating_sub(before[index]));
    took_ns.sort_unstable();
    let answered = u64::try_from(took_ns.len())?;
    let percentile_ms =
        |hundredths: usize| took_ns.get(took_ns.len() * hundredths / 100).map_or(f64::NAN, |ns| f64::from(*ns) / 1e6);
    Ok(Round {
        answered,
        failed,
        cost_us: server.as_secs_f64() * 1e6 / count(answered + failed),
        per_s: count(answered) / wall.as_secs_f64(),
        p50_ms: percentile_ms(50),
        p99_ms: percentile_ms(99),
        others_busy: both.saturating_sub(server + generator).as_secs_f64() / (2.0 * wall.as_secs_f64()),
        generator_busy: generator.as_secs_f64() / wall.as_secs_f64(),
    })
}

#[derive(Default)]
struct Sent {
    took_ns: Vec<u32>,
    failed: u64,
}

async fn send(mut connection: Connection, requests: Arc<[Vec<u8>]>, from: usize, until: Instant) -> Sent {
    let mut sent = Sent::default();
    let mut began = watch::now();
    for request in requests.iter().cycle().skip(from) {
        let answer = connection.exchange(request).await.map(|answer| answer.status);
        let ended = watch::now();
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

/// A count as a number to divide by; none here comes near 2^32.
pub(crate) fn count(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
