//! Memory with 1,000 clients after a million tokens, and what these tokens left on the disk: nothing.

use std::path::Path;

use countersign_protocol::jose::algorithm::Algorithm;
use countersign_store::SQLITE_FILE;
use rusqlite::Connection;

use crate::load::{Side, run};
use crate::process::Server;
use crate::rows::Bench;
use crate::table::Row;
use crate::{Outcome, request};

const CLIENTS: usize = 1000;
const MAX_MIB: f64 = 40.0;
/// The same at both starts, because a changed issuer adds a row to the audit log.
const ISSUER: [&str; 2] = ["--issuer", "http://127.0.0.1:8080"];
/// The tables of uses.
const USES: [&str; 2] = ["credential_uses", "token_counts"];
/// The tables of refusals. A request that is cut off at the end of a round is one.
const REFUSALS: [&str; 2] = ["refusals", "refusal_counts"];

pub(super) async fn measure(bench: &mut Bench<'_>) -> Outcome<()> {
    let directory = bench.seeded("memory", &[Algorithm::EdDsa], CLIENTS).await?;
    let mut server = Server::countersign(&directory, &ISSUER)?;
    server.wait_until_ready().await?;
    server.stop()?;
    let before = Rows::count(&directory)?;
    let mut server = Server::countersign(&directory, &ISSUER)?;
    server.wait_until_ready().await?;
    let idle_mib = server.memory_mib()?;
    let requests = request::tokens(0..CLIENTS);
    let (mut tokens, mut failed) = (0, 0);
    while tokens < bench.plan.tokens_before_memory && failed == 0 {
        let round = run(Side { server: &server, requests: &requests }, bench.plan.round).await?;
        (tokens, failed) = (tokens + round.answered, failed + round.failed);
    }
    let mib = server.memory_mib()?;
    server.stop()?;
    let after = Rows::count(&directory)?;
    let stored = after.others - before.others;
    bench.table.add([
        Row {
            figure: format!("memory with 1,000 clients after {tokens} EdDSA tokens, MiB"),
            bare: format!("before them: {idle_mib:.1}"),
            ours: format!("{mib:.1}"),
            target: Some((format!("under {MAX_MIB:.0} MiB"), mib < MAX_MIB && failed == 0)),
            ..Row::default()
        },
        Row {
            figure: format!("rows left by {tokens} tokens, after a clean stop"),
            ours: stored.to_string(),
            target: Some(("none".to_owned(), stored == 0)),
            ..Row::default()
        },
        Row {
            figure: format!("rows of use, one a client and hour and one a secret, after {tokens} tokens"),
            ours: (after.uses - before.uses).to_string(),
            ..Row::default()
        },
    ]);
    Ok(())
}

/// The number of rows in a stopped server's database.
struct Rows {
    uses: i64,
    others: i64,
}

impl Rows {
    fn count(directory: &Path) -> Outcome<Self> {
        let database = Connection::open(directory.join(SQLITE_FILE))?;
        let mut tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
        let names: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut rows = Self { uses: 0, others: 0 };
        for name in names {
            let count: i64 = database.query_row(&format!("SELECT COUNT(*) FROM {name}"), [], |row| row.get(0))?;
            match name.as_str() {
                name if USES.contains(&name) => rows.uses += count,
                name if REFUSALS.contains(&name) => {}
                _ => rows.others += count,
            }
        }
        Ok(rows)
    }
}
