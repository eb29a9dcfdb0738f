//! From 1,000 to a million clients: startup time, memory, and the cost of a token and of a change.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_protocol::jose::algorithm::Algorithm;
use countersign_store::DatabaseUrl;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::connection::Connection;
use crate::load::{Side, compare};
use crate::process::Server;
use crate::rows::{Bench, fetch_administrator_token, text_member};
use crate::spread::Spread;
use crate::table::Row;
use crate::{Outcome, cores, request, seed, watch};

/// The cheapest signature hides the least.
const ALGORITHM: Algorithm = Algorithm::EdDsa;
/// The number of clients that a million is compared with.
const FEW: u32 = 100;
const SIZES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// The number of clients that request tokens, evenly distributed.
const ASKING: u32 = 100_000;
const MAX_START_S: f64 = 20.0;
const MAX_MIB: f64 = 1.2 * 1024.0;
const MAX_TOKEN_ABOVE_PERCENT: f64 = 10.0;
const MAX_CHANGE: f64 = 1.5;
/// The number of changes per turn of one side, and of turns.
const CHANGES: u32 = 20;
const TURNS: usize = 7;
/// The number of changes per second while the delay to the other node is measured.
const CHANGES_PER_S: u32 = 100;
const WATCHED: usize = 10;
const MAX_KNOWN_S: f64 = 1.0;

/// The location of a server's clients.
struct Place {
    name: &'static str,
    directory: PathBuf,
    database: DatabaseUrl,
    flags: Vec<String>,
}

impl Place {
    fn new(directory: PathBuf, postgres: Option<&str>) -> Outcome<Self> {
        std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
        Ok(match postgres {
            None => {
                Self { name: "SQLite", database: DatabaseUrl::sqlite_in(&directory)?, flags: Vec::new(), directory }
            }
            Some(url) => {
                let flags = vec!["--database-url".to_owned(), url.to_owned()];
                Self { name: "PostgreSQL", database: DatabaseUrl::parse(url)?, flags, directory }
            }
        })
    }

    async fn start(&self) -> Outcome<Server> {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let mut server = Server::countersign(&self.directory, &flags)?;
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// The first start creates keys, so it is not measured.
    async fn prepare(&self, clients: u32) -> Outcome<()> {
        self.start().await?.stop()?;
        seed::api_alone(&self.database, ALGORITHM).await?;
        seed::alike(&self.database, ALGORITHM, 1, clients).await?;
        self.start().await?.stop()
    }
}

pub(super) async fn measure(bench: &mut Bench<'_>) -> Outcome<()> {
    let few = Place::new(bench.path("few"), None)?;
    few.prepare(FEW).await?;
    let few_server = few.start().await?;
    let mut places = vec![Place::new(bench.path("many"), None)?];
    if let Some(url) = &bench.plan.postgres {
        places.push(Place::new(bench.path("many-shared"), Some(&beside(url)?))?);
    }
    for place in &places {
        let mut registered = FEW;
        place.prepare(registered).await?;
        for clients in SIZES {
            seed::alike(&place.database, ALGORITHM, registered + 1, clients).await?;
            registered = clients;
            measure_size(bench, (&few, &few_server), place, clients).await?;
        }
        if place.name != few.name {
            measure_second_node(bench, place, registered).await?;
        }
    }
    few_server.stop()
}

/// A separate database on that server.
fn beside(url: &str) -> Outcome<String> {
    let made = std::process::Command::new("psql").args([url, "-qc", "CREATE DATABASE scale"]).status()?;
    let (before, options) = url.split_once('?').ok_or("the URL has no options")?;
    let server = before.rsplit_once('/').ok_or("the URL has no path")?.0;
    if made.success() { Ok(format!("{server}/scale?{options}")) } else { Err("no database could be made".into()) }
}

async fn measure_size(
    bench: &mut Bench<'_>,
    (few, few_server): (&Place, &Server),
    place: &Place,
    clients: u32,
) -> Outcome<()> {
    let began = watch::now();
    let server = place.start().await?;
    let start_s = began.elapsed().as_secs_f64();
    let is_largest = SIZES.last() == Some(&clients);
    let target = |text: String, is_held| is_largest.then_some((text, is_held));
    let name = format!("{clients} clients on {}", place.name);
    let (of_few, of_many) = (
        request::tokens_of_alike(1..2),
        request::tokens_of_alike((1..=clients).step_by(usize::try_from((clients / ASKING).max(1))?)),
    );
    let few_side = Side { server: few_server, requests: &of_few };
    let (few_rounds, many_rounds) = compare(bench.plan, few_side, Side { server: &server, requests: &of_many }).await?;
    let mib = server.memory_mib()?;
    bench.table.add([
        Row {
            figure: format!("{name}: from start to ready, s"),
            ours: format!("{start_s:.2}"),
            target: target(format!("under {MAX_START_S:.0} s"), start_s < MAX_START_S),
            ..Row::default()
        },
        Row {
            figure: format!("{name}: memory, MiB"),
            ours: format!("{mib:.0}"),
            target: target(format!("under {MAX_MIB:.0} MiB"), mib < MAX_MIB),
            ..Row::default()
        },
    ]);
    let figure = format!("{name}: a token ({ALGORITHM}), against one client's, µs");
    bench.add_percent(figure, "one", (&few_rounds, &many_rounds), MAX_TOKEN_ABOVE_PERCENT);
    if place.name == few.name {
        add_change(bench, &name, (few_server, &few.directory), (&server, &place.directory)).await?;
    }
    server.stop()
}

/// Measures the CPU time of a change, compared with few clients, in turns.
async fn add_change(bench: &mut Bench<'_>, name: &str, few: (&Server, &Path), many: (&Server, &Path)) -> Outcome<()> {
    let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
    let few_token = fetch_administrator_token(few.0, few.1).await?;
    let many_token = fetch_administrator_token(many.0, many.1).await?;
    for turn in 0..TURNS {
        let (few_ms, many_ms) =
            (change_ms(few.0, &few_token, turn).await?, change_ms(many.0, &many_token, turn).await?);
        // The first changes warm up caches.
        if turn > 0 {
            of_few.push(few_ms);
            of_many.push(many_ms);
        }
    }
    let times = Spread::of(of_many.iter().zip(&of_few).map(|(many, few)| many / few));
    bench.table.add([Row {
        figure: format!("{name}: a change, against one with {FEW} clients, ms of CPU time"),
        bare: format!("{FEW}: {:.2}", Spread::of(of_few.iter().copied())),
        ours: format!("{:.2}", Spread::of(of_many.iter().copied())),
        compared: format!("{times:.2} ×"),
        target: Some((format!("at most {MAX_CHANGE} ×"), times.median <= MAX_CHANGE)),
    }]);
    Ok(())
}

async fn change_ms(server: &Server, token: &str, turn: usize) -> Outcome<f64> {
    let mut connection = Connection::open(server.address).await?;
    let before = cores::cpu_time(server.id())?;
    for number in 1..=CHANGES {
        rename(&mut connection, token, number, &format!("Service {turn}")).await?;
    }
    let took = cores::cpu_time(server.id())?.saturating_sub(before);
    Ok(took.as_secs_f64() * 1000.0 / f64::from(CHANGES))
}

async fn rename(connection: &mut Connection, token: &str, number: u32, name: &str) -> Outcome<()> {
    let body = format!("{{\"name\":\"{name}\"}}");
    let change = request::change("PATCH", &format!("clients/alike-{number}"), token, &body);
    match connection.exchange(&change).await? {
        answer if answer.status == 200 => Ok(()),
        answer => Err(format!("a change: {} {}", answer.status, String::from_utf8_lossy(answer.body)).into()),
    }
}

/// Measures how soon a second node accepts a secret created on the first one, during other changes.
async fn measure_second_node(bench: &mut Bench<'_>, place: &Place, clients: u32) -> Outcome<()> {
    let here = place.start().await?;
    let (database, mut flags) = (place.database.clone(), place.flags.clone());
    // Both nodes are one server.
    flags.extend(["--issuer".to_owned(), format!("http://{}", here.address)]);
    let second = Place { name: place.name, directory: bench.path("second-node"), database, flags };
    std::fs::DirBuilder::new().mode(0o700).create(&second.directory)?;
    std::fs::copy(place.directory.join("sealing.key"), second.directory.join("sealing.key"))?;
    let there = second.start().await?;
    let token = fetch_administrator_token(&here, &place.directory).await?;
    let (address, changing) = (here.address, token.clone());
    let others =
        tokio::spawn(async move { change_steadily(address, &changing).await.map_err(|error| error.to_string()) });
    let (mut own, mut other) = (Connection::open(here.address).await?, Connection::open(there.address).await?);
    let mut known_s = Vec::new();
    for number in 0..WATCHED {
        let path = format!("clients/alike-{}/secrets", clients - u32::try_from(number)?);
        let made = own.exchange(&request::change("POST", &path, &token, "{\"label\":\"new\"}")).await?;
        let began = watch::now();
        let refused = || format!("no secret was made: {} {}", made.status, String::from_utf8_lossy(made.body));
        let secret = text_member(made.body, "client_secret").ok_or_else(refused)?;
        let ask = request::token_of(&format!("alike-{}", clients - u32::try_from(number)?), &secret);
        while other.exchange(&ask).await?.status != 200 {
            sleep(Duration::from_millis(5)).await;
        }
        known_s.push(began.elapsed().as_secs_f64());
        sleep(Duration::from_millis(130)).await;
    }
    others.abort();
    if let Ok(Err(reason)) = others.await {
        return Err(reason.into());
    }
    let slowest = known_s.iter().copied().fold(0.0, f64::max);
    bench.table.add([Row {
        figure: format!(
            "{clients} clients: a new secret works on the other node, while {CHANGES_PER_S} others change a second, s"
        ),
        ours: format!("{:.2}", Spread::of(known_s.iter().copied())),
        compared: format!("at most {slowest:.2}"),
        target: Some((format!("under {MAX_KNOWN_S:.0} s"), slowest < MAX_KNOWN_S)),
        ..Row::default()
    }]);
    here.stop()?;
    there.stop()
}

async fn change_steadily(address: std::net::SocketAddr, token: &str) -> Outcome<()> {
    let mut connection = Connection::open(address).await?;
    let mut ticks = interval(Duration::from_secs(1) / CHANGES_PER_S);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 1.. {
        ticks.tick().await;
        rename(&mut connection, token, number, "Changed").await?;
    }
    Ok(())
}
