//! Overload: what is served, and how soon, when more is asked than the server can do, and how soon it recovers.

use std::time::Duration;

use countersign_protocol::jose::algorithm::Algorithm;

use crate::open_loop::{Answered, Fleet, Pace, Stretch};
use crate::process::Server;
use crate::rows::Bench;
use crate::table::Row;
use crate::{Outcome, cores, load, request};

/// Connections held at once.
const CONNECTIONS: [usize; 3] = [64, 1_000, 9_000];
/// Requests at once that keep the server busy and let no queue stand.
const SATURATING: u64 = 4;
/// How long each load lasts; its first second is not counted.
const LENGTH: Duration = Duration::from_secs(6);
/// How long ten times the peak lasts.
const FLOOD: Duration = Duration::from_secs(3);
/// Within this time all is to be as before.
const SETTLED: Duration = Duration::from_secs(1);
/// The load at which latency is normal, as a share of the peak.
const NORMAL: f64 = 0.8;
/// What of the peak is to be served under twice as much.
const MIN_SERVED: f64 = 0.9;
/// With less of its core the server cannot be judged under a load that takes all of it: other processes are what is measured.
const MIN_CORE_SHARE: f64 = 0.9;
/// What refusals are to take at most, in ms.
const MAX_REFUSAL_MS: f64 = 50.0;

pub(super) async fn measure(bench: &mut Bench<'_>) -> Outcome<()> {
    let algorithm = Algorithm::Rs256;
    let directory = bench.seeded("overload", &[algorithm], 1).await?;
    for connections in CONNECTIONS {
        let mut server = Server::countersign_by_default(&directory)?;
        server.wait_until_ready().await?;
        let fleet = Fleet::open(server.address, &request::tokens(0..1), connections).await?;
        let rows = measure_with(&fleet, &server, &format!("{algorithm}, {connections} connections")).await?;
        bench.table.add(rows);
        drop(fleet);
        server.stop()?;
    }
    bench.table.note(
        "Overload: arrivals at random with a fixed mean rate, latency from the moment a request is due; one that finds no \
         free connection is not sent. The first second of each load is not counted."
            .to_owned(),
    );
    Ok(())
}

async fn measure_with(fleet: &Fleet, server: &Server, name: &str) -> Outcome<Vec<Row>> {
    let before = cores::cpu_time(server.id())?;
    let at_most = one(fleet, Pace::AtOnce(SATURATING)).await?;
    let at_peak = core_share(server, before)?;
    let peak = at_most.served_per_s;
    let normal = one(fleet, Pace::PerSecond(NORMAL * peak)).await?;
    let before = cores::cpu_time(server.id())?;
    let double = one(fleet, Pace::PerSecond(2.0 * peak)).await?;
    let share = at_peak.min(core_share(server, before)?);
    let flood = [
        Stretch { pace: Pace::PerSecond(10.0 * peak), length: FLOOD },
        Stretch { pace: Pace::PerSecond(NORMAL * peak), length: LENGTH },
    ];
    let (answered, _) = fleet.drive(&flood).await?;
    let after = Seen::of(&answered, FLOOD + SETTLED, LENGTH - SETTLED, 0);
    let row = |figure: &str| Row { figure: format!("overload {name}: {figure}"), ..Row::default() };
    let most_ms = 2.0 * normal.served_p99_ms;
    let mut rows = vec![
        Row {
            ours: format!("{peak:.0}/s, {} refused", at_most.refused),
            compared: format!("{:.0} % of its core", 100.0 * share),
            ..row("peak")
        },
        Row {
            ours: format!("p99 {:.1} ms, {} refused, {} unsent", normal.served_p99_ms, normal.refused, normal.unsent),
            ..row("80 % of the peak")
        },
        Row {
            ours: format!("{:.0}/s, {} refused, {} unsent", double.served_per_s, double.refused, double.unsent),
            compared: format!("{:.0} % of the peak", 100.0 * double.served_per_s / peak),
            target: Some((
                format!("at least {:.0} %", 100.0 * MIN_SERVED),
                double.served_per_s >= MIN_SERVED * peak && double.failed == 0,
            )),
            ..row("2 × the peak, served")
        },
        Row {
            ours: format!("{:.1} ms", double.served_p99_ms),
            compared: format!("{:.2} ×", double.served_p99_ms / normal.served_p99_ms),
            target: Some(("under 2 × that at 80 %".to_owned(), double.served_p99_ms < most_ms)),
            ..row("2 × the peak, p99 of the served")
        },
        Row {
            ours: format!("{:.1} ms, longest {:.1} ms", double.refused_p99_ms, double.refused_max_ms),
            target: Some((format!("under {MAX_REFUSAL_MS:.0} ms"), double.refused_p99_ms < MAX_REFUSAL_MS)),
            ..row("2 × the peak, p99 of refusals")
        },
        Row {
            ours: format!("p99 {:.1} ms, {} refused, {} failed", after.served_p99_ms, after.refused, after.failed),
            target: Some((
                "p99 under 2 × that at 80 %, under 1 % refused".to_owned(),
                after.served_p99_ms < most_ms && after.is_served(),
            )),
            ..row("1 s after 10 × the peak")
        },
    ];
    if share < MIN_CORE_SHARE {
        for row in &mut rows {
            row.figure.push_str(" (VOID: others took the server's core)");
            row.target = None;
        }
    }
    Ok(rows)
}

/// The share of its core that the server had since it had used this much, one load ago.
fn core_share(server: &Server, before: Duration) -> Outcome<f64> {
    Ok(cores::cpu_time(server.id())?.saturating_sub(before).as_secs_f64() / LENGTH.as_secs_f64())
}

/// One load, without its first second.
async fn one(fleet: &Fleet, pace: Pace) -> Outcome<Seen> {
    let (answered, unsent) = fleet.drive(&[Stretch { pace, length: LENGTH }]).await?;
    Ok(Seen::of(&answered, SETTLED, LENGTH - SETTLED, unsent))
}

/// What came of the requests that were due within some time.
struct Seen {
    served_per_s: f64,
    served: u64,
    served_p99_ms: f64,
    refused: u64,
    refused_p99_ms: f64,
    refused_max_ms: f64,
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
        let ms = |took: Option<&Duration>| took.map_or(0.0, |took| took.as_secs_f64() * 1e3);
        let count = |took: &[Duration]| u64::try_from(took.len()).unwrap_or(u64::MAX);
        let all = u64::try_from(within().count()).unwrap_or(u64::MAX);
        Self {
            served_per_s: load::count(count(&served)) / length.as_secs_f64(),
            served: count(&served),
            served_p99_ms: ms(served.get(served.len() * 99 / 100)),
            refused: count(&refused),
            refused_p99_ms: ms(refused.get(refused.len() * 99 / 100)),
            refused_max_ms: ms(refused.last()),
            failed: all - count(&served) - count(&refused),
            unsent,
        }
    }

    /// True if hardly any was refused, and none failed.
    fn is_served(&self) -> bool {
        self.failed == 0 && self.refused * 100 <= self.served
    }
}
