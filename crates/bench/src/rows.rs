//! The figures, in one file per group.

mod clients;
mod commits;
mod introspection;
mod limits;
mod memory;
mod migrate;
mod overload;
mod scale;
mod starts;
mod timing;
mod tokens;

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::from_base64url;
use countersign_store::SQLITE_FILE;
use serde_json::Value;
use tempfile::TempDir;

use crate::connection::Connection;
use crate::load::Round;
use crate::plan::Plan;
use crate::process::Server;
use crate::request::{self, Requests};
use crate::spread::Spread;
use crate::table::{Row, Table};
use crate::{Outcome, seed};

/// The context of every figure.
struct Bench<'p> {
    plan: &'p Plan,
    scratch: TempDir,
    table: Table,
    others_busy: Vec<f64>,
    generator_busy: Vec<f64>,
}

/// Measures everything in the plan.
pub(crate) async fn measure(plan: &Plan) -> Outcome<Table> {
    // Next to the binary and not in /tmp, which may be in memory, because commits must reach a disk.
    let scratch = TempDir::with_prefix_in("bench-", std::env::current_exe()?.parent().unwrap_or(Path::new(".")))?;
    let mut bench =
        Bench { plan, scratch, table: Table::default(), others_busy: Vec::new(), generator_busy: Vec::new() };
    if plan.has("tokens") {
        tokens::measure(&mut bench).await?;
    }
    if plan.has("introspection") {
        introspection::measure(&mut bench).await?;
    }
    if plan.has("clients") {
        clients::measure(&mut bench).await?;
    }
    if plan.has("scale") {
        scale::measure(&mut bench).await?;
    }
    if plan.has("limits") {
        limits::measure(&mut bench).await?;
    }
    if plan.has("starts") {
        starts::measure(&mut bench).await?;
    }
    if plan.has("memory") {
        memory::measure(&mut bench).await?;
    }
    if plan.has("migrate") {
        migrate::measure(&mut bench).await?;
    }
    if plan.has("commits") {
        commits::measure(&mut bench).await?;
    }
    if plan.has("timing") {
        timing::measure(&mut bench)?;
    }
    if plan.has("overload") {
        overload::measure(&mut bench).await?;
    }
    bench.add_notes();
    Ok(bench.table)
}

impl Bench<'_> {
    /// A path for a directory or file of one figure.
    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Creates a data directory with a registry.
    async fn seeded(&self, name: &str, algorithms: &[Algorithm], clients: usize) -> Outcome<PathBuf> {
        let directory = self.path(name);
        // Private, because a server starts in no other.
        DirBuilder::new().mode(0o700).create(&directory)?;
        let mut private = OpenOptions::new();
        private.create_new(true).write(true).mode(0o600).open(directory.join(SQLITE_FILE))?;
        seed::registry(&directory, algorithms, clients).await?;
        Ok(directory)
    }

    /// Starts the bare endpoints with a payload of the same size as this token's.
    async fn bare_for(&self, algorithm: Algorithm, token: &str, cores: &[usize]) -> Outcome<Server> {
        let payload = token.split('.').nth(1).and_then(from_base64url).ok_or("no token")?;
        let file = self.path(algorithm.as_str());
        std::fs::write(&file, payload)?;
        let mut server = Server::bare(algorithm, &file, cores)?;
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// Adds the latencies, rates and failures of two sides, and their difference in cost, which must be at most `max_us`.
    fn add_comparison(&mut self, name: &str, bare: &[Round], ours: &[Round], max_us: f64) {
        self.watch(bare);
        self.watch(ours);
        let spread = |rounds: &[Round], read: fn(&Round) -> f64| Spread::of(rounds.iter().map(read));
        let row = |figure: &str, digits: usize, read: fn(&Round) -> f64| Row {
            figure: format!("{name}: {figure}"),
            bare: format!("{:.digits$}", spread(bare, read)),
            ours: format!("{:.digits$}", spread(ours, read)),
            ..Row::default()
        };
        let above = Spread::of(ours.iter().zip(bare).map(|(ours, bare)| ours.cost_us - bare.cost_us));
        let slower = Spread::of(ours.iter().zip(bare).map(|(ours, bare)| ours.p99_ms / bare.p99_ms));
        let failed: u64 = ours.iter().map(|round| round.failed).sum();
        let answered: u64 = ours.iter().map(|round| round.answered).sum();
        self.table.add([
            Row {
                compared: format!("{above:+.1} µs"),
                target: Some((format!("at most +{max_us:.0} µs"), above.median <= max_us)),
                ..row("cost, µs", 1, |round| round.cost_us)
            },
            Row {
                compared: format!("{slower:.2} ×"),
                target: Some(("under 2 ×".to_owned(), slower.median < 2.0)),
                ..row("p99, ms", 2, |round| round.p99_ms)
            },
            row("p50, ms", 2, |round| round.p50_ms),
            row("requests/s", 0, |round| round.per_s),
            Row {
                figure: format!("{name}: failed requests"),
                ours: format!("{failed} of {answered}"),
                target: Some(("none".to_owned(), failed == 0)),
                ..Row::default()
            },
        ]);
    }

    /// Adds the costs of two of our servers, and how much more the second may cost.
    fn add_percent(&mut self, figure: String, base: &str, (of_base, of_ours): (&[Round], &[Round]), most: f64) {
        self.watch(of_base);
        self.watch(of_ours);
        let cost = |rounds: &[Round]| Spread::of(rounds.iter().map(|round| round.cost_us));
        let percent = |(ours, base): (&Round, &Round)| (ours.cost_us / base.cost_us - 1.0) * 100.0;
        let above = Spread::of(of_ours.iter().zip(of_base).map(percent));
        self.table.add([Row {
            figure,
            bare: format!("{base}: {}", cost(of_base)),
            ours: cost(of_ours).to_string(),
            compared: format!("{above:+.1} %"),
            target: Some((format!("within {most:.0} %"), above.median <= most)),
        }]);
    }

    /// Records other activity on the cores, for the notes.
    fn watch(&mut self, rounds: &[Round]) {
        self.others_busy.extend(rounds.iter().map(|round| round.others_busy * 100.0));
        self.generator_busy.extend(rounds.iter().map(|round| round.generator_busy * 100.0));
    }

    fn add_notes(&mut self) {
        let Plan { rounds, round, .. } = self.plan;
        self.table.note(format!(
            "Medians of {rounds} rounds of {} s a side (least..most). Cost is the server's CPU time per request; what is \
             compared is compared round by round.",
            round.as_secs_f64()
        ));
        if !self.others_busy.is_empty() {
            let (generator, others) = (Spread::of(self.generator_busy.iter().copied()), &self.others_busy);
            let others = Spread::of(others.iter().copied());
            self.table
                .note(format!("The generator had work for {generator:.0} % of its core; over 90 % voids a round."));
            self.table.note(format!("Other processes and the kernel took {others:.0} % of the two cores."));
        }
    }
}

/// Requests a token for a client.
async fn fetch_token(server: &Server, client: usize) -> Outcome<String> {
    let requests = request::tokens(std::iter::once(client));
    let mut connection = Connection::open(server.address).await?;
    let answer = connection.exchange(&requests[0]).await?;
    text_member(answer.body, "access_token").ok_or_else(|| format!("no token: {}", answer.status).into())
}

/// Requests a token for the administrator in the server's file.
async fn fetch_administrator_token(server: &Server, directory: &Path) -> Outcome<String> {
    let file: Value = serde_json::from_slice(&std::fs::read(directory.join("operator.json"))?)?;
    let member = |name: &str| file[name].as_str().ok_or("operator.json is not whole");
    let ask = request::administrator_token(member("client_id")?, member("client_secret")?);
    let mut connection = Connection::open(server.address).await?;
    let answer = connection.exchange(&ask).await?;
    text_member(answer.body, "access_token").ok_or_else(|| "no administrator's token".into())
}

/// Returns a text member of a JSON body.
fn text_member(body: &[u8], name: &str) -> Option<String> {
    Some(serde_json::from_slice::<Value>(body).ok()?.get(name)?.as_str()?.to_owned())
}

/// One request for all connections.
fn only(request: Vec<u8>) -> Requests {
    [request].into()
}
