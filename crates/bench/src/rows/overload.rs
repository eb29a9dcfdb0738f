//! Overload: which requests are served and how fast, and how soon the server recovers.

use std::time::Duration;

use countersign_protocol::jose::algorithm::Algorithm;
use tokio::time::sleep;

use crate::open_loop::{Answered, Fleet, Pace, Stretch};
use crate::process::Server;
use crate::rows::Bench;
use crate::spread::Spread;
use crate::table::Row;
use crate::{Outcome, cores, load, request};

/// The number of connections.
const CONNECTIONS: [usize; 3] = [64, 1_000, 9_000];
/// The number of concurrent requests that keep the server busy without a standing queue.
const SATURATING: u64 = 4;
/// The length of each load in a round. Its first part is not counted.
const LENGTH: Duration = Duration::from_millis(2500);
const WARM_UP: Duration = Duration::from_millis(500);
/// How long ten times the peak lasts.
const FLOOD: Duration = Duration::from_secs(3);
/// The time within which the server must recover.
const SETTLED: Duration = Duration::from_secs(1);
/// The load with normal latency, as a share of the peak.
const NORMAL: f64 = 0.8;
/// The share of the peak that must be served at twice the peak, in percent.
const MIN_SERVED: f64 = 90.0;
/// The allowed increase of the 99th percentile over the normal load.
const MAX_SLOWER: f64 = 2.0;
/// The allowed number of additional refusals per hundred requests after the flood.
const MAX_REFUSED_AFTER: f64 = 1.0;
/// A round counts if the server had this share of its core at loads that need all of it. Otherwise, it measures other processes.
/// processes are what is measured.
const MIN_FULL: f64 = 90.0;
/// It must also need at most this share at loads below its peak. Otherwise, the machine has slowed down.
const MAX_PARTIAL: f64 = 90.0;
/// The time limit of refusals, in ms.
const MAX_REFUSAL_MS: f64 = 50.0;

pub(super) async fn measure(bench: &mut Bench<'_>) -> Outcome<()> {
    let algorithm = Algorithm::Rs256;
    let directory = bench.seeded("overload", &[algorithm], 1).await?;
    for connections in CONNECTIONS {
        let mut server = Server::countersign_by_default(&directory)?;
        server.wait_until_ready().await?;
        let fleet = Fleet::open(server.address, &request::tokens(0..1), connections).await?;
        let (measured, void) = measure_rounds(&fleet, &server, bench.plan.rounds).await?;
        bench.table.add(rows(&measured, void, &format!("{algorithm}, {connections} connections")));
        drop(fleet);
        server.stop()?;
    }
    bench.table.note(
        "Overload: arrivals at random with a fixed mean rate, latency from the moment a request is due; one that finds no \
         free connection is not sent. The first half second of each load is not counted. A round is the peak, 80 % of it, \
         twice, the peak again, ten times and 80 % again, one at once after the other; one in which others took \
         the core, or in which 80 % became more than 90 % of it, is measured again."
            .to_owned(),
    );
    Ok(())
}

/// Runs one round. Its loads follow each other without a pause, because the machine's speed varies.
struct Round {
    /// The mean of the peaks before and after the double load, because the machine's speed drifts.
    peak_per_s: f64,
    failed_at_peak: u64,
    normal: Seen,
    double: Seen,
    after: Seen,
    /// The smallest share of its core that the server had at a load that needs all of it, in percent.
    full: f64,
    /// The largest share that it needed at a load that needs less, in percent.
    partial: f64,
}

impl Round {
    fn failed(&self) -> u64 {
        self.failed_at_peak + self.normal.failed + self.double.failed + self.after.failed
    }

    async fn measure(fleet: &Fleet, server: &Server) -> Outcome<Self> {
        let cpu_time = || cores::cpu_time(server.id());
        let began = cpu_time()?;
        let peak = one(fleet, Pace::AtOnce(SATURATING)).await?;
        let at_peak = cpu_time()?;
        let per_s = peak.served_per_s;
        let normal = one(fleet, Pace::PerSecond(NORMAL * per_s)).await?;
        let at_normal = cpu_time()?;
        let double = one(fleet, Pace::PerSecond(2.0 * per_s)).await?;
        let at_double = cpu_time()?;
        let peak_again = one(fleet, Pace::AtOnce(SATURATING)).await?;
        let flood = [
            Stretch { pace: Pace::PerSecond(10.0 * per_s), length: FLOOD },
            Stretch { pace: Pace::PerSecond(NORMAL * per_s), length: SETTLED + LENGTH },
        ];
        let settled = async {
            sleep(FLOOD + SETTLED).await;
            cpu_time()
        };
        let (driven, settled) = tokio::join!(fleet.drive(&flood), settled);
        let after = Seen::of(&driven?.0, FLOOD + SETTLED, LENGTH, 0);
        let share = |from: Duration, to: Duration| 100.0 * (to - from).as_secs_f64() / LENGTH.as_secs_f64();
        Ok(Self {
            peak_per_s: (peak.served_per_s + peak_again.served_per_s) / 2.0,
            failed_at_peak: peak.failed + peak_again.failed,
            normal,
            double,
            after,
            full: share(began, at_peak).min(share(at_normal, at_double)),
            partial: share(at_peak, at_normal).max(share(settled?, cpu_time()?)),
        })
    }
}

/// Runs this many valid rounds. Also returns the number of void ones.
async fn measure_rounds(fleet: &Fleet, server: &Server, rounds: usize) -> Outcome<(Vec<Round>, usize)> {
    let (mut measured, mut void) = (Vec::new(), 0);
    while measured.len() < rounds && void < 2 * rounds {
        let round = Round::measure(fleet, server).await?;
        if round.full < MIN_FULL || round.partial > MAX_PARTIAL {
            void += 1;
        } else {
            measured.push(round);
        }
    }
    Ok((measured, void))
}

fn rows(measured: &[Round], void: usize, name: &str) -> Vec<Row> {
    let spread = |read: &dyn Fn(&Round) -> f64| Spread::of(measured.iter().map(read));
    let row = |figure: &str| Row { figure: format!("overload {name}: {figure}"), ..Row::default() };
    let served = spread(&|round| 100.0 * round.double.served_per_s / round.peak_per_s);
    let slower = spread(&|round| round.double.served_p99_ms / round.normal.served_p99_ms);
    let refusal = spread(&|round| round.double.refused_p99_ms);
    let slower_after = spread(&|round| round.after.served_p99_ms / round.normal.served_p99_ms);
    let refused_after = spread(&|round| round.after.refused_percent() - round.normal.refused_percent());
    let failed: u64 = measured.iter().map(Round::failed).sum();
    let mut rows = vec![
        Row {
            ours: format!("{:.0}", spread(&|round| round.peak_per_s)),
            compared: format!("{:.0} % of its core", spread(&|round| round.full)),
            ..row("peak, requests/s")
        },
        Row { ours: format!("{:.1}", spread(&|round| round.normal.served_p99_ms)), ..row("80 % of the peak, p99 ms") },
        Row {
            ours: format!("{:.2}", spread(&|round| round.normal.refused_percent())),
            ..row("80 % of the peak, refused %")
        },
        Row {
            ours: format!("{:.0}", spread(&|round| round.double.served_per_s)),
            compared: format!("{served:.0} % of the peak"),
            target: Some((format!("at least {MIN_SERVED:.0} %"), served.median >= MIN_SERVED)),
            ..row("2 × the peak, served/s")
        },
        Row {
            ours: format!("{:.1}", spread(&|round| round.double.unsent_percent())), ..row("2 × the peak, unsent %")
        },
        Row {
            ours: format!("{:.1}", spread(&|round| round.double.served_p99_ms)),
            compared: format!("{slower:.2} times that at 80 %"),
            target: Some((format!("under {MAX_SLOWER:.0}"), slower.median < MAX_SLOWER)),
            ..row("2 × the peak, p99 ms of the served")
        },
        Row {
            ours: format!("{refusal:.1}"),
            target: Some((format!("under {MAX_REFUSAL_MS:.0}"), refusal.median < MAX_REFUSAL_MS)),
            ..row("2 × the peak, p99 ms of refusals")
        },
        Row {
            ours: format!("{:.1}", spread(&|round| round.after.served_p99_ms)),
            compared: format!("{slower_after:.2} times that at 80 %"),
            target: Some((format!("under {MAX_SLOWER:.0}"), slower_after.median < MAX_SLOWER)),
            ..row("1 s after 10 × the peak, p99 ms")
        },
        Row {
            ours: format!("{:.2}", spread(&|round| round.after.refused_percent())),
            compared: format!("{refused_after:.2} more than before"),
            target: Some((format!("under {MAX_REFUSED_AFTER:.0}"), refused_after.median < MAX_REFUSED_AFTER)),
            ..row("1 s after 10 × the peak, refused %")
        },
        Row {
            ours: failed.to_string(),
            target: Some(("0".to_owned(), failed == 0)),
            ..row("neither served nor refused")
        },
    ];
    if void > 0 {
        rows.push(Row { ours: format!("{void}, {} counted", measured.len()), ..row("rounds of an unsteady machine") });
    }
    rows
}

/// Runs one load, without its first part.
async fn one(fleet: &Fleet, pace: Pace) -> Outcome<Seen> {
    let (answered, unsent) = fleet.drive(&[Stretch { pace, length: LENGTH }]).await?;
    Ok(Seen::of(&answered, WARM_UP, LENGTH - WARM_UP, unsent))
}

/// The results of the requests that were due in a period.
struct Seen {
    served_per_s: f64,
    served: u64,
    served_p99_ms: f64,
    refused: u64,
    refused_p99_ms: f64,
    failed: u64,
    unsent: u64,
}

impl Seen {
    fn of(answered: &[Answered], from: Duration, length: Duration, unsent: u64) -> Self {
        let within = || answered.iter().filter(|one| (from..from + length).contains(&one.due));
        let took = |status: u16| {
            let mut took: Vec<Duration> = within().filter(|one| one.status == status).map(|one| one.took).collect();
            took.sort_unstable();
            took
        };
        let (served, refused) = (took(200), took(503));
        let p99_ms = |took: &[Duration]| took.get(took.len() * 99 / 100).map_or(0.0, |took| took.as_secs_f64() * 1e3);
        let count = |took: &[Duration]| u64::try_from(took.len()).unwrap_or(u64::MAX);
        let all = u64::try_from(within().count()).unwrap_or(u64::MAX);
        Self {
            served_per_s: load::count(count(&served)) / length.as_secs_f64(),
            served: count(&served),
            served_p99_ms: p99_ms(&served),
            refused: count(&refused),
            refused_p99_ms: p99_ms(&refused),
            failed: all - count(&served) - count(&refused),
            unsent,
        }
    }

    fn unsent_percent(&self) -> f64 {
        100.0 * load::count(self.unsent) / load::count(self.served + self.refused + self.unsent).max(1.0)
    }

    fn refused_percent(&self) -> f64 {
        100.0 * load::count(self.refused) / load::count(self.served + self.refused).max(1.0)
    }
}
