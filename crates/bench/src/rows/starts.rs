//! A second start with 1,000 clients within 150 ms, a first one with `--demo` within 2 s, and the size of the binary.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use countersign_protocol::jose::algorithm::Algorithm;

use crate::process::Server;
use crate::rows::Bench;
use crate::spread::Spread;
use crate::table::Row;
use crate::{Outcome, plan, watch};

const CLIENTS: usize = 1000;
const MAX_SECOND_START_MS: f64 = 150.0;
const MAX_DEMO_START_MS: f64 = 2000.0;
const MAX_BINARY_MB: f64 = 25.0;

pub(super) async fn measure(bench: &mut Bench<'_>) -> Outcome<()> {
    let directory = bench.seeded("starts", &Algorithm::ALL, CLIENTS).await?;
    let mut again = Vec::new();
    // The first start creates the keys and does not count.
    for number in 0..=bench.plan.rounds {
        let began = watch::now();
        let mut server = Server::countersign(&directory, &[])?;
        server.wait_until_ready().await?;
        if number > 0 {
            again.push(began.elapsed());
        }
        server.stop()?;
    }
    bench.table.add([row("second start with 1,000 clients, ms", &again, MAX_SECOND_START_MS)]);
    let mut demo = Vec::new();
    for number in 0..bench.plan.rounds {
        let began = watch::now();
        let mut server = Server::countersign(&bench.path(&format!("demo-{number}")), &["--demo"])?;
        read_until_ready(&mut server)?;
        demo.push(began.elapsed());
        server.stop()?;
    }
    bench.table.add([row("first start with --demo, ms", &demo, MAX_DEMO_START_MS), binary_size()?]);
    Ok(())
}

/// Reads the output up to the `Ready: …` line.
fn read_until_ready(server: &mut Server) -> Outcome<()> {
    for line in BufReader::new(server.stdout()?).lines() {
        if line?.starts_with("Ready: ") {
            return Ok(());
        }
    }
    Err("the server ended before it was ready".into())
}

fn row(figure: &str, took: &[Duration], max_ms: f64) -> Row {
    let spread = Spread::of(took.iter().map(|took| took.as_secs_f64() * 1000.0));
    Row {
        figure: figure.to_owned(),
        ours: format!("{spread:.0}"),
        target: Some((format!("at most {max_ms:.0} ms"), spread.median <= max_ms)),
        ..Row::default()
    }
}

fn binary_size() -> Outcome<Row> {
    let megabytes = crate::load::count(std::fs::metadata(plan::binary()?)?.len()) / 1e6;
    Ok(Row {
        figure: "binary, MB".to_owned(),
        ours: format!("{megabytes:.1}"),
        target: Some((format!("under {MAX_BINARY_MB:.0} MB"), megabytes < MAX_BINARY_MB)),
        ..Row::default()
    })
}
